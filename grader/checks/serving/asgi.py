"""A submission's ASGI application: where it is, how it is started, what it answers."""

from __future__ import annotations

import ast
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from grader.checks.scripts.call import IMPORT_ERRORS, MANIFEST, MAX_DOCUMENTED, PYTHON, Called, Script
from grader.checks.scripts.variables import allowed, documented_wishes
from grader.documents import parse_json
from grader.readers.invocations import Service, services, unread
from grader.readers.python.tracebacks import last_traceback
from grader.runtime.readiness import wait_until
from grader.runtime.sandbox.model import Ended, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import httpx

    from grader.runtime.cell import Cell, Server
    from grader.runtime.sandbox.limits import Limits

T = TypeVar("T")
MAX_BYTES = 4 * 2**20
"""The size limit of an answer's body."""
_POLL_SECONDS = 0.2
_FRAMEWORKS = {"FastAPI", "Starlette"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to one request."""

    request: str
    """`GET /health`"""
    status: int | None = None
    """None if no answer came."""
    body: str = ""
    content_type: str = ""
    error: str = ""
    """Why no answer came."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case; values of one name are joined by commas."""
    cause: str = ""
    """The traceback that the server wrote meanwhile, reduced to the author's frames."""

    @property
    def json(self) -> Any:
        """The body as JSON; None if it is not JSON."""
        try:
            return parse_json(self.body)
        except ValueError:
            return None

    @property
    def shown(self) -> str:
        """Status and body on one line, for a finding."""
        if self.status is None:
            return self.error
        body = " ".join(self.body.split())
        return f"{self.status} {body[:300]}{'…' if len(body) > 300 else ''}".strip()


@dataclass(frozen=True, slots=True)
class Target:
    """What uvicorn serves."""

    name: str = "app"
    factory: bool = False


def ask(
    client: httpx.Client,
    method: str,
    path: str,
    *,
    seconds: float,
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
    follow: bool = True,
) -> Answer:
    """Send one request; silence or nonsense is an `Answer` too.

    Args:
        seconds: the limit for redirects, headers and body together.
        body: JSON, if no header says otherwise.
        follow: whether redirects are followed.
    """
    import httpx

    from grader.runtime.services.http import DEADLINE

    request = f"{method} {path}"
    told = {"content-type": "application/json"} if body is not None else {}
    told |= {name.lower(): value for name, value in (headers or {}).items()}
    extensions = {DEADLINE: time.monotonic() + seconds}
    try:
        with client.stream(
            method,
            path,
            content=body,
            headers=told,
            timeout=seconds,
            follow_redirects=follow,
            extensions=extensions,
        ) as response:
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MAX_BYTES:
                    return Answer(request=request, error=f"the answer has more than {MAX_BYTES:,} bytes")
            return Answer(
                request=request,
                status=response.status_code,
                body=content.decode("utf-8", "replace"),
                content_type=response.headers.get("content-type", ""),
                headers=dict(response.headers.items()),
            )
    except httpx.TimeoutException:
        return Answer(request=request, error=f"no answer within {seconds:g} s")
    # A `ValueError` is what parsers of Python say of some hostile headers.
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:
        return Answer(request=request, error=f"no answer: {error or type(error).__name__}")


def serve(
    cell: Cell,
    what: Script,
    target: Target,
    *,
    host: str,
    port: int,
    seconds: float,
    limits: Limits,
    use: Callable[[Server, Called], T],
) -> T | Called:
    """Start the application and `use` it, or return how it ended if it never answers.

    Args:
        seconds: how long it may take until its first answer.
    """
    failed: list[Called] = []
    for start in starts(what, target, host=host, port=port):
        env = {**start.env, **what.env}
        called = Called(
            argv=start.argv,
            run=_SERVED,
            traceback=None,
            env=env,
            origin=start.origin,
            variables=(*what.variables, *start.variables),
        )
        with ExitStack() as stack:
            server = stack.enter_context(cell.serve(start.argv, port=port, env=env, limits=limits))
            if _answers(server, seconds):
                trials = tuple(f"`{each.shown}` {each.run.describe()}" for each in failed)
                return use(server, replace(called, trials=trials))
        # Only now, with the server stopped, is its last word known.
        run = server.run()
        error = last_traceback(run.stderr, (cell.root, str(cell.workspace)))
        failed.append(replace(called, run=run, traceback=error, wants_more=True))
        if run.ended is not Ended.EXITED:
            break
        if not _not_found(failed[-1]) and start.last:
            break
    if not failed:
        raise ValueError("the application cannot be started")
    told = next((each for each in failed if not _not_found(each)), failed[0])
    others = tuple(f"`{each.shown}` {each.run.describe()}" for each in failed if each is not told)
    return replace(told, trials=others, unread=unread(what.submission) if what.submission is not None else "")


_SERVED = Run(argv=(), ended=Ended.STOPPED)
"""The run of an application that answers, which has not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A command that may start an application."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    variables: tuple[str, ...] = ()
    last: bool = False
    """What stops with this one for another reason than a module that is not found, stops with any other."""


def starts(what: Script, target: Target, *, host: str, port: int) -> Iterator[Start]:
    """Commands that may start it, the likeliest first.

    As the manifest says; from the root; as the submission itself says, in names and variables; then with its
    directory on the path.
    """
    if what.command:
        yield Start(argv=what.command, origin=MANIFEST, last=True)
        return
    factory = ("--factory",) if target.factory else ()
    options = ("--host", host, "--port", str(port))
    module = ".".join(what.path.with_suffix("").parts)
    found = [Start(argv=(PYTHON, "-m", "uvicorn", f"{module}:{target.name}", *factory, *options))]
    found += _documented(what, options)
    parent = what.path.parent
    if parent != PurePosixPath():
        below = ("--app-dir", str(parent), f"{what.path.stem}:{target.name}")
        found.append(Start(argv=(PYTHON, "-m", "uvicorn", *below, *factory, *options)))
    told = list({(each.argv, tuple(sorted(each.env.items()))): each for each in reversed(found)}.values())[
        ::-1
    ]
    for number, each in enumerate(told):
        # A search path is worth a try where a module was not found, and only there.
        rest = told[number + 1 :]
        yield replace(each, last=not any(later.origin for later in rest))


def _documented(what: Script, options: tuple[str, ...]) -> Iterator[Start]:
    if what.submission is None:
        return
    wished = documented_wishes(what.submission, what.source) if what.source is not None else ()
    more = {each.name: each.value for each in wished}
    names = tuple(f"{each.name} ({each.where})" for each in wished)
    said = [each for each in services(what.submission) if _serves(each, what.path)][:MAX_DOCUMENTED]
    for each in said:
        below = ("--app-dir", each.folder) if each.folder else ()
        factory = ("--factory",) if each.factory else ()
        argv = (PYTHON, "-m", "uvicorn", *below, each.target, *factory, *options)
        env = allowed(what.submission, what.source, each.environment)
        yield Start(argv=argv, env={**more, **env}, origin=each.where, variables=names)
    if more and not said:
        module = ".".join(what.path.with_suffix("").parts)
        argv = (PYTHON, "-m", "uvicorn", f"{module}:app", *options)
        yield Start(argv=argv, env=more, origin=wished[0].where, variables=names)


def _serves(service: Service, path: PurePosixPath) -> bool:
    """Whether a command serves what a file holds, as it names modules."""
    named = PurePosixPath(service.folder, service.target.partition(":")[0].replace(".", "/") + ".py")
    return named == path or path.parts[-len(named.parts) :] == named.parts


def _answers(server: Server, seconds: float) -> bool:
    """Wait until it answers a request in any way, has ended, or the time is up."""

    def has_answered() -> bool:
        return ask(server.client, "GET", "/", seconds=5).status is not None

    return wait_until(has_answered, alive=server.alive, seconds=seconds, pause=_POLL_SECONDS) is not None


def _not_found(called: Called) -> bool:
    """Whether an import failed that another search path may fix."""
    if called.traceback is not None:
        return called.traceback.exception in IMPORT_ERRORS
    return "Could not import module" in called.run.stderr


def find(module: ast.Module) -> Target:
    """What to serve of a module: `app`, else another application, else a function that makes one."""
    names = list(_bound(module.body))
    if any(name == "app" for name, _ in names):
        return Target()
    made = next((name for name, value in names if _makes(value)), None)
    if made is not None:
        return Target(made)
    factories = [
        node.name
        for node in module.body
        if isinstance(node, ast.FunctionDef) and any(_makes(inner) for inner in ast.walk(node))
    ]
    preferred = sorted(factories, key=lambda name: "app" not in name)
    return Target(preferred[0], factory=True) if preferred else Target()


def is_application(module: ast.Module) -> bool:
    """Whether a module makes an ASGI application, at its top level or in a function."""
    return any(map(_makes, ast.walk(module)))


def _makes(node: ast.AST | None) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in _FRAMEWORKS
    return False


def _bound(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.expr | None]]:
    """Names that a module binds at its top level, with their values, inside `if`, `try` and `with` too."""
    for node in body:
        match node:
            case ast.Assign(targets=targets, value=value):
                yield from ((target.id, value) for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                yield name, value
            case ast.ImportFrom(names=aliases) | ast.Import(names=aliases):
                yield from ((alias.asname or alias.name, None) for alias in aliases)
            case ast.If(body=inner, orelse=other):
                yield from _bound([*inner, *other])
            case ast.Try(body=inner, handlers=handlers, orelse=other, finalbody=last):
                yield from _bound([*inner, *(line for each in handlers for line in each.body), *other, *last])
            case ast.With(body=inner):
                yield from _bound(inner)
