"""Asking a candidate's server over HTTP, without letting the answer hurt the one who asked."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

MOST_BYTES = 16 * 2**20
MOST_SECONDS = 60
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here speaks TLS; by default every client would load all certificates of this machine."""
LISTENING = "00010000"  # the flag's value in /proc/net/unix


class _Bounded(httpx.SyncByteStream):
    """An answer's body that ends in an error when it is too long or takes too long."""

    def __init__(self, stream: httpx.SyncByteStream, request: httpx.Request) -> None:
        self._stream = stream
        self._request = request
        self._until = time.monotonic() + MOST_SECONDS

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        for chunk in self._stream:
            seen += len(chunk)
            if seen > MOST_BYTES:
                raise httpx.ReadError(f"the answer has more than {MOST_BYTES} bytes", request=self._request)
            if time.monotonic() > self._until:
                raise httpx.ReadTimeout(f"the answer takes more than {MOST_SECONDS} s", request=self._request)
            yield chunk

    def close(self) -> None:
        self._stream.close()


class _Transport(httpx.HTTPTransport):
    """Always the same Unix socket, whatever host a redirect names."""

    def __init__(self, socket: str) -> None:
        # A kept connection may be closing at the other end while we reuse it.
        limits = httpx.Limits(max_keepalive_connections=0)
        super().__init__(uds=socket, limits=limits, verify=PLAIN)
        self._socket = socket

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        # Asked first, because httpcore leaves a socket behind for every connection that is refused.
        if not _listens(self._socket):
            raise httpx.ConnectError("nothing listens on the port", request=request)
        answer = super().handle_request(request)
        assert isinstance(answer.stream, httpx.SyncByteStream)  # noqa: S101
        # We ask for no compression; who sends some all the same would have us unpack a bomb.
        headers = [pair for pair in answer.headers.raw if pair[0].lower() != b"content-encoding"]
        return httpx.Response(
            status_code=answer.status_code,
            headers=headers,
            stream=_Bounded(answer.stream, request),
            extensions=answer.extensions,
        )


def _listens(path: str) -> bool:
    for line in Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[7] == path and fields[3] == LISTENING:
            return True
    return False


def client(socket: str, port: int) -> httpx.Client:
    """A client whose every request goes through one Unix socket."""
    return httpx.Client(
        transport=_Transport(socket),
        base_url=f"http://localhost:{port}",
        headers={"accept-encoding": "identity"},
        timeout=10,
        trust_env=False,
    )
