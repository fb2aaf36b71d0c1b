"""HTTP requests to a candidate's server, bounded so that no answer can harm the grader.

Time and bytes are counted where the socket is read: whatever an answer is made of (a byte a second, 1xx for
ever, headers, chunks, trailers without end), it is over after so many seconds and so many bytes.
"""

from __future__ import annotations

import math
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_BYTES = 16 * 2**20
MAX_SECONDS = 60
"""For a request as a whole, whatever its timeout allows for each read."""
DEADLINE = "deadline"
"""The extension of a request that says when its answer, those of its redirects included, has to be there."""
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here speaks TLS; by default every client would load all certificates of this machine."""
LISTENING = "00010000"  # the flag's value in /proc/net/unix
# We ask for no compression; who sends some all the same would have us unpack a bomb. Cookies would come back
# to every request that follows.
_DROPPED = frozenset({b"content-encoding", b"set-cookie"})


class _Stream(httpcore.NetworkStream):
    """A connection that is over at a time, or after so many bytes."""

    def __init__(self, stream: httpcore.NetworkStream, until: float) -> None:
        self._stream = stream
        self._until = until
        self._left = MAX_BYTES

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._stream.read(max_bytes, self._remaining(timeout, httpcore.ReadTimeout))
        self._left -= len(data)
        if self._left < 0:
            raise httpcore.ReadError(f"the answer has more than {MAX_BYTES} bytes")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._remaining(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _remaining(self, timeout: float | None, late: type[httpcore.TimeoutException]) -> float:
        remaining = self._until - time.monotonic()
        if remaining <= 0:
            raise late("the answer takes too long")
        return min(remaining, math.inf if timeout is None else timeout)


class _Backend(httpcore.NetworkBackend):
    """Connections to one Unix socket, whatever host a redirect names."""

    def __init__(self, socket: str, until: float) -> None:
        self._socket = socket
        self._until = until

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002
        port: int,  # noqa: ARG002
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        # Asked first, because a socket is left behind for every connection that is refused.
        if not _listens(self._socket):
            raise httpcore.ConnectError("nothing listens on the port")
        return _Stream(httpcore.SyncBackend().connect_unix_socket(self._socket, timeout), self._until)


class _Body(httpx.SyncByteStream):
    """An answer's body; the connection ends with it."""

    def __init__(
        self, answer: httpcore.Response, pool: httpcore.ConnectionPool, request: httpx.Request
    ) -> None:
        self._answer = answer
        self._pool = pool
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._answer.iter_stream()
        except _FAILURES as error:
            raise _as_httpx(error, self._request) from error

    def close(self) -> None:
        self._answer.close()
        self._pool.close()


_FAILURES = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)


def _as_httpx(error: Exception, request: httpx.Request) -> httpx.TransportError:
    kinds: dict[type[Exception], type[httpx.TransportError]] = {
        httpcore.ConnectError: httpx.ConnectError,
        httpcore.TimeoutException: httpx.ReadTimeout,
        httpcore.ProtocolError: httpx.RemoteProtocolError,
        httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    }
    found = next((kind for base, kind in kinds.items() if isinstance(error, base)), httpx.ReadError)
    return found(str(error), request=request)


class _Transport(httpx.BaseTransport):
    """A connection for each request: a kept one may be closing at the other end while we reuse it."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
        seconds = min(timeouts.get("read") or MAX_SECONDS, MAX_SECONDS)
        until = min(time.monotonic() + seconds, request.extensions.get(DEADLINE, math.inf))
        backend = _Backend(self._socket, until)
        pool = httpcore.ConnectionPool(PLAIN, max_keepalive_connections=0, network_backend=backend)
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions={"timeout": timeouts},
        )
        try:
            answer = pool.handle_request(asked)
        except _FAILURES as error:
            pool.close()
            raise _as_httpx(error, request) from error
        return httpx.Response(
            status_code=answer.status,
            headers=[pair for pair in answer.headers if pair[0].lower() not in _DROPPED],
            stream=_Body(answer, pool, request),
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
