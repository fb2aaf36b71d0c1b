"""The process that serves S3: moto's object store, and nothing else of moto, on a Unix socket.

It meets whatever candidate code sends, so it runs walled off, as a script that imports nothing of the grader.
It says `ready` on standard output once its socket takes connections, and ends when its standard input does.

    object_server.py DIRECTORY      serve on DIRECTORY/s3.sock
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

SOCKET = "s3.sock"

MOST_STORED = 256 * 2**20
"""Bytes that one server takes in all: it keeps them in memory."""
MOST_MEMORY = 4 * 2**30


class Bounded:
    """The store as a WSGI application that refuses what would be too much."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._stored = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One request."""
        length = environ.get("CONTENT_LENGTH") or "0"
        endless = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        if endless or not length.isdecimal():
            start_response("411 Length Required", [("Content-Length", "0"), ("Connection", "close")])
            return []
        with self._lock:
            self._stored += int(length)
            full = self._stored > MOST_STORED
        if full:
            start_response("507 Insufficient Storage", [("Content-Length", "0"), ("Connection", "close")])
            return []
        return self._app(environ, start_response)


def serve(directory: str) -> None:
    """Serve until standard input ends."""
    import logging

    from moto.moto_server.werkzeug_app import create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        """Keeps connections, and its peace."""

        protocol_version = "HTTP/1.1"

        def log(self, *_: object) -> None:
            """Say nothing."""

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # Only this service: others of moto's would want to run containers and compilers.
    app = Bounded(create_backend_app("s3"))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # A socket's path may have no more than 107 bytes, a directory's as many as it likes.
    os.chdir(directory)
    listener.bind(SOCKET)
    os.chdir("/")
    listener.listen(128)
    server = make_server("unix://s3", 0, app, threaded=True, request_handler=Quiet, fd=listener.fileno())
    server.daemon_threads = True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)  # noqa: T201
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Command line."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    serve(sys.argv[1])


if __name__ == "__main__":
    main()
