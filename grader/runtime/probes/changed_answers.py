"""Change what an application answers, between it and whoever called it: a test client or a server.

Beside `pytest_runs.py`, which imports it in the candidate's environment.
"""

import functools
import inspect
import os
import warnings
from collections.abc import Awaitable, Callable
from json import dumps, loads  # (a test may patch the module)
from typing import Any

MAX_BODY = 2**22
Scope = Any
Message = Any
Send = Callable[[Any], Awaitable[None]]
Ask = Callable[..., dict[str, Any]]


class Wire:
    """What every Starlette application's answers come through."""

    def __init__(self, request: dict[str, Any], ask: Ask) -> None:
        self.method, self.path = request["method"], request["path"].rstrip("/")
        self.own = {os.path.realpath(path) for path in request["own"]}
        self.reached = False
        """Whether anything of the submission's own application answered."""
        self.answered = False
        """Whether a request was answered that faults speak of."""
        self.ask = ask

    def cut_in(self) -> None:
        """From now on."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from starlette.applications import Starlette
        except ImportError:
            return
        original = Starlette.__call__

        @functools.wraps(original)
        async def called(app: Any, scope: Scope, receive: Any, send: Send) -> None:
            http = scope.get("type") == "http"
            await original(app, scope, receive, Answer(self, scope, send).send if http else send)

        Starlette.__call__ = called  # type: ignore[method-assign, assignment, unused-ignore]

    def asked(self, scope: Scope) -> bool:
        """Whether this is a request that faults speak of."""
        path = str(scope.get("path")).rstrip("/")
        return bool(scope.get("method") == self.method and path == self.path)

    def is_own(self, scope: Scope) -> bool:
        """Whether the suite answers itself: routers leave the endpoint that they chose in the scope."""
        return source(scope.get("endpoint")) in self.own


class Answer:
    """One answer on its way."""

    def __init__(self, wire: Wire, scope: Scope, send: Send) -> None:
        self.wire, self.scope, self.forward = wire, scope, send
        self.fault: dict[str, Any] | None = None
        self.start: Message = {}
        self.body = b""

    async def send(self, message: Message) -> None:
        """What the application calls: passes on, or holds back until the body is complete."""
        if message.get("type") == "http.response.start":
            self.begin(message)
        if self.fault is None:
            await self.forward(message)
        elif message.get("type") == "http.response.body":
            self.body += message.get("body", b"")
            if not message.get("more_body") or len(self.body) > MAX_BODY:
                start, body = changed(self.start, self.body, self.fault)
                await self.forward(start)
                await self.forward(body)

    def begin(self, message: Message) -> None:
        """Have it decided by the status."""
        own = self.wire.is_own(self.scope)
        self.wire.reached = self.wire.reached or not own
        if not self.wire.asked(self.scope):
            return
        self.wire.answered = True
        self.fault = self.wire.ask(answer=message.get("status"), own=own).get("fault")
        self.start = message


def changed(start: Message, body: bytes, fault: dict[str, Any]) -> tuple[Message, Message]:
    """The answer that a broken application would have given: in the form in which this one answers."""
    headers = [(bytes(name), bytes(value)) for name, value in start.get("headers", ())]
    new: dict[bytes, bytes] = {}
    if "body" in fault or "drop" in fault:
        body = like(body, fault["body"].encode()) if "body" in fault else lacking(body, fault["drop"])
        new[b"content-type"] = b"application/json" if is_json(body) else b"text/plain"
        headers = [pair for pair in headers if pair[0].lower() != b"content-encoding"]
    new[b"content-length"] = str(len(body)).encode()
    there = {name.lower() for name, _ in headers}
    headers = [(name, new.get(name.lower(), value)) for name, value in headers]
    headers += [pair for pair in new.items() if pair[0] not in there]
    return (
        {**start, "status": fault["status"], "headers": headers},
        {"type": "http.response.body", "body": body},
    )


def like(sample: bytes, body: bytes) -> bytes:
    """JSON with as few blanks as there are in a sample; anything else as it is."""
    try:
        found, sent = loads(body), loads(sample)
    except ValueError:
        return body
    compact = dumps(sent, separators=(",", ":"), ensure_ascii=False).encode() == sample
    return dumps(found, separators=(",", ":") if compact else None, ensure_ascii=False).encode()


def lacking(body: bytes, key: str) -> bytes:
    """The object without a key; an answer that names it otherwise loses everything."""
    try:
        found = loads(body)
    except ValueError:
        return b"{}"
    if not isinstance(found, dict) or key not in found:
        return b"{}"
    return like(body, dumps({name: value for name, value in found.items() if name != key}).encode())


def is_json(body: bytes) -> bool:
    """Whether a body reads as JSON."""
    try:
        loads(body)
    except ValueError:
        return False
    return True


def source(endpoint: Any) -> str:
    """The file in which a function was written; empty where it cannot be told."""
    while isinstance(endpoint, functools.partial):
        endpoint = endpoint.func
    try:
        code = getattr(inspect.unwrap(endpoint), "__code__", None)
    except ValueError:
        return ""
    return os.path.realpath(code.co_filename) if code is not None else ""
