"""Serves the pages until somebody ends it."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from typing import TYPE_CHECKING

import uvicorn

from grader.errors import UsageError
from grader.report.safe import one_line
from grader.web.application import application
from grader.web.security import ENTER, Sessions, names_of
from grader.web.state import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from grader.exam.model import Exam

MAX_CONNECTIONS = 100
MAX_HEADERS = 2**15


def serve(
    path: Path,
    *,
    host: str,
    port: int,
    author: str,
    say: Callable[[str], None],
    read_only: bool = False,
    anonymous: bool = False,
    exam: Exam | None = None,
    exam_folder: str = "",
) -> None:
    """Serve a gradebook until a signal ends it.

    Args:
        port: 0 for any that is free.
        exam_folder: by which a batch grades that is started here; empty for the bundled exam.
        say: told the address with its token, and each new one.

    Raises:
        UsageError: there is no such gradebook, or the address cannot be used.
    """
    state = State(path, author=author, read_only=read_only, anonymous=anonymous)
    with contextlib.closing(state), _listening(host, port) as listener:
        shown = f"[{host}]" if ":" in host else host
        base = f"http://{shown}:{listener.getsockname()[1]}{ENTER}?token="
        sessions = Sessions(told=lambda token: say(f"for another browser: {base}{token}"))
        app = application(state, sessions, names=names_of(host), exam=exam, exam_folder=exam_folder)
        config = uvicorn.Config(
            app,
            lifespan="on",
            log_config=None,
            log_level="critical",  # the application tells its faults itself, made safe
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            http="h11",
            h11_max_incomplete_event_size=MAX_HEADERS,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=2,
        )
        say(f"{base}{sessions.token}")
        if not _is_loopback(host):
            say(
                "what goes over the network is not encrypted: better leave out --host and use"
                f" `ssh -L {listener.getsockname()[1]}:localhost:{listener.getsockname()[1]}`"
            )
        uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket(found[0], found[1]))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(found[4])
            listener.listen(MAX_CONNECTIONS)  # at once: the address is told before the server is ready
            stack.pop_all()
            return listener
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", "") or str(error)
        raise UsageError(
            f"cannot serve at {one_line(host)}, port {port}: {reason}; try --port 0 for one that is free"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
