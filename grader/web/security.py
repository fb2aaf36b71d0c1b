"""Who may ask for a page, from where, and what a browser may do with the answer.

All that is shown was written by candidates, and a browser visits other pages beside this one. So: the address
with its token opens the page once and is exchanged for a cookie that no script reads and no other page sends;
a name that is not this machine's is refused (a foreign name may come to point here); only our own pages
write; and nothing runs or loads but what this program serves.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 2**16
"""Bytes of what a form sends."""
MAX_QUERY = 2**12
MAX_PATH = 2**10
MAX_SESSIONS = 20
"""Browsers that are let in at once; the first one makes room."""
ENTER = "/enter"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
SAFE = ("GET", "HEAD")
NO_COOKIE = (
    "This page opens with the address that `grader serve` wrote, which lets one browser in, once."
    " For another browser it has written another address since.\n"
)


class Sessions:
    """The token that lets the next browser in, and the browsers that are in."""

    def __init__(self, told: Callable[[str], None] = lambda _: None) -> None:
        """Make a token.

        Args:
            told: called with each new token after the first.
        """
        self.token = secrets.token_urlsafe(32)
        self._told = told
        self._inside: dict[bytes, None] = {}

    def enter(self, token: str) -> str:
        """The cookie for a token; empty if it is wrong. Another token takes its place."""
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return ""
        self.token = secrets.token_urlsafe(32)
        cookie = secrets.token_urlsafe(32)
        self._inside[_digest(cookie)] = None
        while len(self._inside) > MAX_SESSIONS:
            del self._inside[next(iter(self._inside))]
        self._told(self.token)
        return cookie

    def knows(self, cookie: str) -> bool:
        """Whether a browser is in."""
        return _digest(cookie) in self._inside


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


class Guard:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, sessions: Sessions, *, names: frozenset[str] = frozenset()) -> None:
        """Guard an application.

        Args:
            names: host names, in lower case, by which this machine may be called beside `localhost`.
        """
        self._app = app
        self._sessions = sessions
        self._names = names | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a websocket: there is none
            return
        headers = Headers(scope=scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answered.setdefault(name, value)
            await send(message)

        app = self._refusal(scope, headers) or self._entrance(scope) or self._inside(scope, headers)
        await app(scope, _capped(receive), guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        if len(scope["query_string"]) > MAX_QUERY or len(scope["raw_path"]) > MAX_PATH:
            return _text("The address is too long.\n", 414)
        host = headers.get("host", "")
        if not self._is_ours(host, scope):
            return _text("This is not an address of this page: use the one that `grader serve` wrote.\n", 421)
        if scope["method"] in SAFE:
            return None
        if scope["method"] != "POST":
            return _text("Not allowed.\n", 405)
        if not _from_us(headers, host):
            return _text("Only this page's own forms may change something.\n", 403)
        if _length(headers) > MAX_BODY:
            return _text(f"A form may send {MAX_BODY // 2**10} KiB.\n", 413)
        return None

    def _is_ours(self, host: str, scope: Scope) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        server = scope.get("server") or ("", 0)
        return address.is_loopback or name == server[0]

    def _entrance(self, scope: Scope) -> ASGIApp | None:
        if scope["path"] != ENTER:
            return None
        token = parse_qs(scope["query_string"].decode("ascii", "replace")).get("token", [""])[0]
        if scope["method"] != "GET" or not (cookie := self._sessions.enter(token)):
            return _text(NO_COOKIE, 403)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(cookie_name(scope), cookie, path="/", httponly=True, samesite="strict")
        return answer

    def _inside(self, scope: Scope, headers: Headers) -> ASGIApp:
        cookie = cookie_parser(headers.get("cookie", "")).get(cookie_name(scope), "")
        return self._app if self._sessions.knows(cookie) else _text(NO_COOKIE, 403)


def cookie_name(scope: Scope) -> str:
    """Cookies are not kept apart by port: two gradebooks may be served at once."""
    server = scope.get("server") or ("", 0)
    return f"grader-{server[1]}"


def names_of(host: str) -> frozenset[str]:
    """What this machine may be called in an address, where a page is served beyond it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return frozenset({host.lower()})
    if address.is_loopback:
        return frozenset()
    return frozenset({socket.gethostname().lower(), socket.getfqdn().lower()})


def _from_us(headers: Headers, host: str) -> bool:
    """Whether one of our pages sent a form. Without a word about it, it did not."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(headers.get("origin", ""))
    return origin.scheme in ("http", "https") and origin.netloc == host


def _length(headers: Headers) -> int:
    try:
        return int(headers.get("content-length", "0"))
    except ValueError:
        return MAX_BODY + 1


def _capped(receive: Receive) -> Receive:
    """What says no length ends where it becomes too long."""
    seen = 0

    async def read() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return {"type": "http.disconnect"} if seen > MAX_BODY else message

    return read


def _text(text: str, status: int) -> ASGIApp:
    return PlainTextResponse(text, status)
