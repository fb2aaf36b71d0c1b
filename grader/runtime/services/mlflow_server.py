"""The process that serves MLflow: imports it once, then forks a server for each store that is asked for.

It meets whatever candidate code sends, so it runs walled off, as a script that imports nothing of the grader.
One JSON object a line comes in on standard input, `{"verb": "open", "store": …, "secret": …}` or
`{"verb": "close", "store": …}`, and one answers it on standard output. The end of the input ends it and its
servers. Each server is confined to its own store.

    mlflow_server.py            serve
    mlflow_server.py migrate D  make D/mlflow.db, an empty database with its Default experiment
"""

from __future__ import annotations

import ctypes
import importlib
import itertools
import json
import os
import re
import resource
import signal
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

DATABASE = "mlflow.db"
SOCKET = "mlflow.sock"
ARTIFACTS = "artifacts"
REQUESTS = "requests.jsonl"
LOG = "server.log"
TEMPORARY = "temporary"
OWN_FILES = (SOCKET, REQUESTS, LOG, TEMPORARY)
"""What belongs to one server of a store and not to the next."""

OWN_HEADER = "x-grader"
"""By it the grader's own questions are told from a candidate's, who cannot know its value."""

SERVED = re.compile(
    r"/|/health|/version|/get-artifact|/model-versions/get-artifact|/v1/traces"
    r"|/(?:ajax-)?api/[23]\.0/mlflow/(?:"
    r"artifacts|datasets|experiments|get-trace-artifact|logged-models|metrics|model-versions"
    r"|registered-models|runs|server-info|traces|unified-traces|upload-artifact)(?:/.*)?"
    r"|/(?:ajax-)?api/2\.0/mlflow-artifacts/.*"
)
"""What tracking and a registry need. The rest fetches addresses, starts jobs, calls models or a shell."""
STREAMED = re.compile(r"/(?:ajax-)?api/2\.0/mlflow-artifacts/artifacts/.+")
"""Uploads, which go to disk piece by piece."""

MAX_RECORDED_BODY = 2**14
MAX_RECORDED_WORD = 2**12
MAX_RECORD = 32 * 2**20
"""Bytes of the record of requests; one line more says that it ends there."""
MAX_BODY = 4 * 2**20
"""Bytes of a request that is no upload: it becomes objects many times its size."""
MAX_BODIES = 16 * 2**20
"""Bytes of all requests that are no uploads: to answer them takes seconds for each megabyte."""
MAX_WORK_SECONDS = 120.0
"""Computing for a candidate, after which only the grader is answered."""
MAX_UPLOADED = 2**30
"""Bytes that one server takes in all."""
MAX_FILE = 2**30
MAX_MEMORY = 8 * 2**30
"""Of addresses: threads reserve many more than they use."""
MAX_CPU_SECONDS = 1800
MAX_OPEN_FILES = 2048
MAX_CONNECTIONS = 512
MAX_PROCESSES = 2048
"""Of all servers together, for that is how the kernel counts."""

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
    "_MLFLOW_SGI_NAME": "uvicorn",
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
}
"""What `mlflow server --serve-artifacts` sets for its workers; some of it is read at import."""


_NEEDED = (
    "mlflow.server.fastapi_app",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "uvicorn.protocols.http.h11_impl",
)
"""What every server needs: imported before the first fork, it costs the others nothing."""


class Gate:
    """Lets through what exam work needs, bounds what a client may send, and writes down every request."""

    def __init__(self, app: Any, record: Path, secret: str) -> None:
        self._app = app
        self._record = record.open("a", encoding="utf-8")
        self._secret = (OWN_HEADER.encode(), secret.encode())
        self._uploaded = 0
        self._bodies = 0
        self._recorded = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One ASGI request."""
        if scope["type"] == "http":
            exchange = Exchange(self, scope, receive, send)
            try:
                await exchange.answer()
            except BaseException as error:
                if exchange.begun or not is_too_much(error):
                    raise
                await exchange.refuse(413)

    def is_own(self, scope: Any) -> bool:
        """Whether the grader asks."""
        return self._secret in scope["headers"]

    def admit(self) -> None:
        """Refuse whoever has had this server work for long: his own programs' limits do not count that."""
        if self._bodies > MAX_BODIES or time.process_time() > MAX_WORK_SECONDS:
            raise TooMuch

    def take(self, size: int, *, streamed: bool) -> None:
        """Count what came in."""
        self._uploaded += size
        self._bodies += 0 if streamed else size
        if self._uploaded > MAX_UPLOADED or self._bodies > MAX_BODIES:
            raise TooMuch

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        """Have the server answer, where it may."""
        await self._app(scope, receive, send)

    def write(self, scope: Any, body: bytes, status: int) -> None:
        """Put a request on record, unless it is the grader's or the record is full."""
        if self.is_own(scope) or self._recorded > MAX_RECORD:
            return
        entry = {
            "method": scope["method"][:20],
            "path": scope["path"][:MAX_RECORDED_WORD],
            "query": scope["query_string"][:MAX_RECORDED_WORD].decode("latin-1"),
            "body": body.decode("utf-8", "replace") if 0 < len(body) <= MAX_RECORDED_BODY else "",
            "status": status,
        }
        line = json.dumps(entry) + "\n"
        self._recorded += len(line)
        self._record.write(line if self._recorded <= MAX_RECORD else json.dumps({"incomplete": True}) + "\n")
        self._record.flush()


class Exchange:
    """One request and its answer."""

    def __init__(self, gate: Gate, scope: Any, receive: Any, send: Any) -> None:
        self._gate = gate
        self._scope = scope
        self._receive = receive
        self._send = send
        self._streamed = STREAMED.fullmatch(scope["path"]) is not None
        self._limit = MAX_UPLOADED if self._streamed else MAX_BODY
        self._size = 0
        self._body = bytearray()
        self._too_much = False
        self.begun = False
        """Whether the answer has begun."""

    async def answer(self) -> None:
        """Hand it on, or refuse it.

        Raises:
            TooMuch: of what it sends; maybe in a group of errors.
        """
        if SERVED.fullmatch(self._scope["path"]) is None:
            await self.refuse(404)
            return
        if length(self._scope["headers"]) > self._limit:
            raise TooMuch
        if not self._gate.is_own(self._scope):
            self._gate.admit()
        await self._gate.serve(self._scope, self._listen, self._say)

    async def refuse(self, status: int) -> None:
        """Answer with a status and no more."""
        headers = [(b"content-length", b"0"), (b"connection", b"close")]
        await self._say({"type": "http.response.start", "status": status, "headers": headers})
        await self._say({"type": "http.response.body", "body": b""})

    async def _listen(self) -> Any:
        message = await self._receive()
        chunk = message.get("body", b"")
        self._size += len(chunk)
        self._body.extend(chunk[: max(0, MAX_RECORDED_BODY + 1 - len(self._body))])
        try:
            if not self._gate.is_own(self._scope):
                self._gate.take(len(chunk), streamed=self._streamed)
            if self._size > self._limit:
                raise TooMuch
        except TooMuch:
            self._too_much = True
            raise
        return message

    async def _say(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            if self._too_much:  # which MLflow takes for a fault of its own
                message = {**message, "status": 413}
            self._gate.write(self._scope, bytes(self._body), message["status"])
        await self._send(message)


class TooMuch(Exception):  # noqa: N818
    """A request, or all together, are larger than this server takes."""


def is_too_much(error: BaseException) -> bool:
    """Whether it is that, maybe among others of a group of tasks."""
    inner = getattr(error, "exceptions", ())
    return isinstance(error, TooMuch) or any(map(is_too_much, inner))


def length(headers: Any) -> int:
    """What a request says of its own size."""
    said = next((value for name, value in headers if name == b"content-length"), b"0")
    return int(said) if said.isdigit() and len(said) < 20 else 0


def migrate(directory: Path) -> None:
    """Make the database that every fresh store starts from."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    (directory / ARTIFACTS).mkdir(exist_ok=True)
    root = SETTINGS["_MLFLOW_SERVER_ARTIFACT_ROOT"]
    store = SqlAlchemyStore(f"sqlite:///{directory / DATABASE}", root)  # type: ignore[no-untyped-call]
    store.engine.dispose()


def serve_store(store: Path, listener: socket.socket, secret: str) -> None:
    """Serve one store until killed."""
    import uvicorn
    from mlflow.server.fastapi_app import app

    (store / TEMPORARY).mkdir(exist_ok=True)
    os.environ["TMPDIR"] = os.environ["HOME"] = str(store / TEMPORARY)
    tempfile.tempdir = None
    limit()
    confine(store)
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = f"sqlite:///{store / DATABASE}"
    os.environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = str(store / ARTIFACTS)
    config = uvicorn.Config(
        Gate(app, store / REQUESTS, secret),
        lifespan="off",
        log_level="warning",
        access_log=False,
        http="h11",  # which bounds headers
        ws="none",
        limit_concurrency=MAX_CONNECTIONS,
    )
    uvicorn.Server(config).run(sockets=[listener])


def limit() -> None:
    """What one server may use of the machine."""
    for which, most in (
        (resource.RLIMIT_FSIZE, MAX_FILE),
        (resource.RLIMIT_AS, MAX_MEMORY),
        (resource.RLIMIT_CPU, MAX_CPU_SECONDS),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_NPROC, MAX_PROCESSES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(which)[1]
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(which, (most, most))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
READ = 0b1101
"""Executing, reading files, listing folders."""
FILES, REFER, TRUNCATE, DEVICES = (1 << 13) - 1, 1 << 13, 1 << 14, 1 << 15
NO_NEW_PRIVILEGES = 38


def confine(store: Path) -> bool:
    """Landlock: write to the store alone, see no other, reach no other process. False where there is none.

    A client that finds a hole in MLflow is then where it was before, with its own store. Landlock has no say
    over sockets that have a path: those of other stores have one that nobody can guess.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    everything = FILES | (REFER if version > 1 else 0) | (TRUNCATE if version > 2 else 0)
    handled = [everything | (DEVICES if version > 4 else 0)]
    handled += [0b11] if version > 3 else []  # no TCP
    handled += [0b11] if version > 5 else []  # no abstract sockets, no signals to others
    attributes = (ctypes.c_uint64 * len(handled))(*handled)
    rules = libc.syscall(CREATE_RULESET, attributes, ctypes.c_size_t(8 * len(handled)), 0)
    if rules < 0:
        return False
    for path, rights in ((store, everything), (Path(os.devnull), READ | 0b10), *readable(store)):
        allow(libc, rules, path, rights)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    done = libc.syscall(RESTRICT_SELF, rules, 0)
    os.close(rules)
    return bool(done == 0)


def readable(store: Path) -> Iterator[tuple[Path, int]]:
    """Everything but what lies beside the store: each folder on the way to it, less the next one."""
    for inner, folder in itertools.pairwise(store.parents):
        for path in folder.iterdir():
            if path != inner and not path.is_symlink():
                yield path, READ


def allow(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    """One rule, for a file or for all below a folder."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not path.is_dir():
        rights &= 0b111 | TRUNCATE
    rule = struct.pack("=Qi", rights, descriptor)
    libc.syscall(ADD_RULE, rules, 1, rule, 0)
    os.close(descriptor)


class Servers:
    """The forked servers, by store."""

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}

    def open(self, store: str, secret: str) -> None:
        """Fork a server. Its socket takes connections when this returns."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A socket's path may have no more than 107 bytes, a directory's as many as it likes.
        os.chdir(store)
        Path(SOCKET).unlink(missing_ok=True)
        listener.bind(SOCKET)
        os.chdir("/")
        listener.listen(128)
        pid = os.fork()
        if pid == 0:
            self._child(Path(store), listener, secret)
        listener.close()
        self._pids[store] = pid

    def close(self, store: str) -> None:
        """End a server."""
        pid = self._pids.pop(store, None)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def close_all(self) -> None:
        """End every server."""
        for store in list(self._pids):
            self.close(store)

    @staticmethod
    def _child(store: Path, listener: socket.socket, secret: str) -> None:
        status = 1
        try:
            # Neither our input and answers, nor other servers' logs.
            keep = listener.fileno()
            nothing = os.open(os.devnull, os.O_RDWR)
            log = os.open(store / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            for number, source in enumerate((nothing, log, log)):
                os.dup2(source, number)
            os.closerange(3, keep)
            os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))
            serve_store(store, listener, secret)
            status = 0
        finally:
            os._exit(status)


def serve() -> None:
    """Answer requests on standard input until it ends."""
    control = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.set_inheritable(control.fileno(), False)
    os.dup2(2, 1)  # what MLflow prints is no answer
    for module in _NEEDED:
        importlib.import_module(module)
    servers = Servers()
    print(json.dumps({"ready": True}), file=control, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["verb"] == "open":
                servers.open(request["store"], request["secret"])
            else:
                servers.close(request["store"])
            answer = {"done": request["verb"]}
        except OSError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), file=control, flush=True)
    servers.close_all()


def main() -> None:
    """Command line."""
    os.environ.update(SETTINGS)
    if sys.argv[1:2] == ["migrate"]:
        migrate(Path(sys.argv[2]))
    else:
        serve()


if __name__ == "__main__":
    main()
