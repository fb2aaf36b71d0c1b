"""The process that serves MLflow: imports it once, then forks a server for each store that is asked for.

It meets whatever candidate code sends, so it runs walled off, as a script that imports nothing of the grader.
One JSON object a line comes in on standard input, one answers it on standard output:
`{"open": store}`, `{"close": store}`. The end of the input ends it and its servers.

    mlflow_server.py            serve
    mlflow_server.py migrate D  make D/mlflow.db, an empty database with its Default experiment
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

DATABASE = "mlflow.db"
SOCKET = "mlflow.sock"
ARTIFACTS = "artifacts"
REQUESTS = "requests.jsonl"
OWN_FILES = (SOCKET, REQUESTS)
"""What belongs to one server of a store and not to the next."""

OWN_AGENT = "grader"
"""The user agent of the grader's own questions."""

MOST_RECORDED = 2**18
"""Bytes of a request's body that are kept."""
MOST_UPLOADED = 2 * 2**30
"""Bytes that one server takes in all."""
LARGEST_FILE = 2**30

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "_MLFLOW_SGI_NAME": "uvicorn",
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
}
"""What `mlflow server --serve-artifacts` sets for its workers; some of it is read at import."""


_NEEDED = (
    "mlflow.server.fastapi_app",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "uvicorn.protocols.http.auto",
)
"""What every server needs: imported before the first fork, it costs the others nothing."""


class Recorder:
    """Writes down every request before its answer begins, and bounds what a client may send."""

    def __init__(self, app: Any, record: Path) -> None:
        self._app = app
        self._record = record.open("a", encoding="utf-8")
        self._uploaded = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One ASGI request."""
        if scope["type"] != "http":
            return
        body = bytearray()

        async def listen() -> Any:
            message = await receive()
            chunk = message.get("body", b"")
            self._uploaded += len(chunk)
            body.extend(chunk[: MOST_RECORDED - len(body)])
            if self._uploaded > MOST_UPLOADED:
                raise RuntimeError("this store is full")
            return message

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._write(scope, bytes(body), message["status"])
            await send(message)

        await self._app(scope, listen, answer)

    def _write(self, scope: Any, body: bytes, status: int) -> None:
        entry = {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode("latin-1"),
            "body": _json(body),
            "status": status,
            "time": time.time(),
            "own": (b"user-agent", OWN_AGENT.encode()) in scope["headers"],
        }
        self._record.write(json.dumps(entry) + "\n")
        self._record.flush()


def _json(body: bytes) -> object:
    if not body.lstrip()[:1] in (b"{", b"["):  # noqa: E713
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def migrate(directory: Path) -> None:
    """Make the database that every fresh store starts from."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    (directory / ARTIFACTS).mkdir(exist_ok=True)
    root = SETTINGS["_MLFLOW_SERVER_ARTIFACT_ROOT"]
    store = SqlAlchemyStore(f"sqlite:///{directory / DATABASE}", root)  # type: ignore[no-untyped-call]
    store.engine.dispose()


def serve_store(store: Path, listener: socket.socket) -> None:
    """Serve one store until killed."""
    import uvicorn
    from mlflow.server.fastapi_app import app

    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = f"sqlite:///{store / DATABASE}"
    os.environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = str(store / ARTIFACTS)
    config = uvicorn.Config(
        Recorder(app, store / REQUESTS), lifespan="off", log_level="warning", access_log=False
    )
    uvicorn.Server(config).run(sockets=[listener])


class Servers:
    """The forked servers, by store."""

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}

    def open(self, store: str) -> None:
        """Fork a server. Its socket takes connections when this returns."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A socket's path may have no more than 107 bytes, a directory's as many as it likes.
        os.chdir(store)
        listener.bind(SOCKET)
        os.chdir("/")
        listener.listen(128)
        pid = os.fork()
        if pid == 0:
            self._child(Path(store), listener)
        listener.close()
        self._pids[store] = pid

    def close(self, store: str) -> None:
        """End a server."""
        pid = self._pids.pop(store, None)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    @staticmethod
    def _child(store: Path, listener: socket.socket) -> None:
        status = 1
        try:
            os.close(0)  # its end must not wait for this one
            serve_store(store, listener)
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
            for verb, store in request.items():
                (servers.open if verb == "open" else servers.close)(store)
            answer = request
        except OSError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), file=control, flush=True)
    for store in list(servers._pids):
        servers.close(store)


def main() -> None:
    """Command line."""
    os.environ.update(SETTINGS)
    if sys.argv[1:2] == ["migrate"]:
        migrate(Path(sys.argv[2]))
    else:
        serve()


if __name__ == "__main__":
    main()
