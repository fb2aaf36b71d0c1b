"""The process that serves S3: moto's object store, and nothing else of moto, on two Unix sockets.

It meets whatever candidate code sends, so it runs walled off, as a script that imports nothing of the grader.
It says `ready` on standard output once its sockets take connections, and ends when its standard input does.

    object_server.py DIRECTORY      serve on DIRECTORY/s3.sock, and for the grader alone on DIRECTORY/own.sock

One connection carries one request. How many there are at a time, how long each may last, what it may send
and what all together may leave here is bounded. No candidate reaches the grader's own socket, so that none of
this keeps the grader from asking.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SOCKET = "s3.sock"
OWN_SOCKET = "own.sock"

MAX_STORED = 256 * 2**20
"""Bytes that one server takes in all: it keeps them in memory."""
REQUEST_BYTES = 2**14
"""What a request that changes something counts besides its body: a key, a part or a tag has no body."""
MAX_COMMAND = 2**20
"""Bytes of a body that is no object: S3 itself takes a thousand keys in one."""
MAX_HEADERS = 2**16
MAX_CONNECTIONS = 256
"""At a time; a candidate's further ones are told to come back later, as S3 would."""
HEADER_SECONDS = 60.0
REQUEST_SECONDS = 300.0
"""From the headers to the end of the answer; machines may be busy."""
MAX_RESIDENT = 3 * 2**29
"""Bytes of memory beyond which nothing of a candidate's is looked at: copies and parts have no bodies."""
MAX_MEMORY = 4 * 2**30
"""Of addresses."""
MAX_CPU_SECONDS = 900
MAX_LOG = 2**24
THREAD_STACK = 2**20
CHUNK = 2**16

SETTINGS = {
    # Nothing goes to files, which nobody would count.
    "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": str(2**40),
}
BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
DATA_WORDS = {"partnumber", "uploadid", "x-id"}
"""What the query of a request may name that puts an object or a part of one."""
ENTITIES = b"<!DOCTYPE"
MAX_DIGITS = 15
PAGE = os.sysconf("SC_PAGE_SIZE")


class Bounded:
    """The store as a WSGI application that refuses what would be too much."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._lock, self._counting = threading.Lock(), threading.Lock()
        self._stored = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One request, which is taken whole before it is looked at."""
        status = self._refusal(environ) or take_body(environ)
        # One at a time, so that each meets the memory that those before it have used.
        with self._lock:
            if not status and resident() <= MAX_RESIDENT:
                return self._app(environ, start_response)
        start_response(status or "503 Slow Down", [("Content-Length", "0"), ("Connection", "close")])
        return []

    def _refusal(self, environ: dict[str, Any]) -> str:
        """The status of an answer that says no; empty where the body may come."""
        length = environ.get("CONTENT_LENGTH") or "0"
        # Endless, or of endless digits.
        endless = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        if endless or not (length.isascii() and length.isdecimal()) or len(length) > MAX_DIGITS:
            return "411 Length Required"
        if int(length) > MAX_COMMAND and not puts_data(environ):
            return "413 Content Too Large"
        return (
            "" if self._take(int(length), environ.get("REQUEST_METHOD", "")) else "507 Insufficient Storage"
        )

    def _take(self, size: int, method: str) -> bool:
        with self._counting:
            if self._stored + size > MAX_STORED:
                return False
            self._stored += size + (0 if method in ("GET", "HEAD") else REQUEST_BYTES)
        return True


def resident() -> int:
    """Bytes of memory that this process has."""
    with open("/proc/self/statm", "rb") as fields:  # noqa: PTH123
        return int(fields.read().split()[1]) * PAGE


def puts_data(environ: dict[str, Any]) -> bool:
    """Whether the body is an object's content, or a part of it, rather than a command in XML."""
    if environ.get("REQUEST_METHOD") != "PUT" or not environ.get("PATH_INFO", "").strip("/"):
        return False
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    words = {name.lower() for name, _ in parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)}
    signature = {word for word in words if word.startswith("x-amz-")}
    return bool(bucket and key and words <= DATA_WORDS | signature)


def take_body(environ: dict[str, Any]) -> str:
    """Read what comes; a refusal where it is cut short, or a command that declares a document type."""
    size = int(environ.get("CONTENT_LENGTH") or "0")
    body = environ["wsgi.input"].read(size) if size else b""
    environ["wsgi.input"] = io.BytesIO(body)
    if len(body) < size:
        return "400 Bad Request"
    # No command of S3 has one. Without zeros: parsers take two bytes a character as well.
    declares = not puts_data(environ) and ENTITIES in body.replace(b"\0", b"")
    return "400 Bad Request" if declares else ""


class Stream(io.RawIOBase):
    """Both directions of a connection, until its time is up."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._left: int | None = MAX_HEADERS
        self._deadline = time.monotonic() + HEADER_SECONDS

    def end_headers(self) -> None:
        """From here on it is the body that comes."""
        self._left, self._deadline = None, time.monotonic() + REQUEST_SECONDS

    def readable(self) -> bool:
        """Whether `readinto` works: always."""
        return True

    def writable(self) -> bool:
        """Whether `write` works: always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for some bytes.

        Raises:
            OSError: the time is up, or the headers are endless.
        """
        self._wait()
        count = self._connection.recv_into(buffer)
        if self._left is not None:
            self._left -= count
            if self._left < 0:
                raise ConnectionAbortedError("the headers are too long")
        return count

    def write(self, data: Any) -> int:
        """Send all of it.

        Raises:
            OSError: the time is up, or nobody listens.
        """
        self._wait()
        self._connection.sendall(data)
        return len(data)

    def _wait(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is up")
        self._connection.settimeout(left)


def make_handler() -> Any:
    """What answers one connection."""
    from werkzeug.serving import WSGIRequestHandler

    class Handler(WSGIRequestHandler):
        """Keeps its time, and its peace."""

        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            """Read and write by the clock."""
            self.connection = self.request
            self.stream = Stream(self.connection)
            self.rfile = io.BufferedReader(self.stream, CHUNK)
            self.wfile = self.stream  # type: ignore[assignment]

        def run_wsgi(self) -> None:
            """Answer, once the headers are there."""
            self.stream.end_headers()
            super().run_wsgi()

        def log(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def make_server(app: Callable[..., Iterable[bytes]], listener: int) -> Any:
    """A server on a socket that listens already."""
    from werkzeug.serving import ThreadedWSGIServer

    free = threading.Semaphore(MAX_CONNECTIONS)

    class Server(ThreadedWSGIServer):
        """Takes so many connections at a time and no more."""

        daemon_threads = True

        def process_request(self, request: Any, client_address: Any) -> None:
            """Begin a thread for it, if there is room."""
            if not free.acquire(blocking=False):
                self._refuse(request)
                return
            try:
                super().process_request(request, client_address)
            except RuntimeError:  # the machine has no threads to give
                free.release()
                self._refuse(request)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            """Answer it."""
            try:
                super().process_request_thread(request, client_address)
            finally:
                free.release()

        def _refuse(self, request: Any) -> None:
            request.setblocking(False)
            with contextlib.suppress(OSError):
                request.send(BUSY)
            self.shutdown_request(request)

    return Server("unix://s3", 0, app, make_handler(), fd=listener)


def serve(directory: str) -> None:
    """Serve until standard input ends."""
    import logging

    from moto.moto_server.werkzeug_app import create_backend_app

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    threading.stack_size(THREAD_STACK)
    # Only this service: others of moto's would want to run containers and compilers.
    app = create_backend_app("s3")
    for served, name in ((Bounded(app), SOCKET), (app, OWN_SOCKET)):
        server = make_server(served, listen(directory, name))
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)  # noqa: T201
    sys.stdin.read()
    os._exit(0)


def listen(directory: str, name: str) -> int:
    """The descriptor of a socket that listens there."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # A socket's path may have no more than 107 bytes, a directory's as many as it likes.
    os.chdir(directory)
    listener.bind(name)
    os.chdir("/")
    listener.listen(128)
    return listener.detach()


def limit() -> None:
    """What the server may use of the machine."""
    for which, most in (
        (resource.RLIMIT_AS, MAX_MEMORY),
        (resource.RLIMIT_CPU, MAX_CPU_SECONDS),
        (resource.RLIMIT_FSIZE, MAX_LOG),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(which)[1]
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(which, (most, most))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def main() -> None:
    """Command line."""
    os.environ.update(SETTINGS)
    limit()
    serve(sys.argv[1])


if __name__ == "__main__":
    main()
