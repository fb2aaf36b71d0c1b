"""The tracking server of a cell: one process for a whole grade, a store of its own for each use."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import queue
import secrets
import subprocess
import sys
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader import command as process
from grader.errors import GraderFault
from grader.files import open_tree
from grader.runtime.helpers.jail import Wall, interpreter_paths, jailed
from grader.runtime.readiness import wait_until
from grader.runtime.services import mlflow_server
from grader.runtime.services.mlflow_client import (
    ExperimentInfo,
    LoggedModel,
    MlflowServer,
    ModelVersion,
    RegisteredModel,
    Request,
    RunInfo,
)
from grader.runtime.temporary import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.runtime.cache import Cache

__all__ = [
    "ExperimentInfo",
    "LoggedModel",
    "MlflowHost",
    "MlflowServer",
    "ModelVersion",
    "RegisteredModel",
    "Request",
    "RunInfo",
]

_SCRIPT = Path(mlflow_server.__file__)
_IMPORT_SECONDS = 180
"""Importing the server takes some three seconds of computing; machines may be busy."""
_OPEN_SECONDS = 60
_TAIL = 4000
_MAX_LOG = 16 * 2**20


class MlflowHost:
    """The process that serves MLflow, for as many stores as are opened.

    Use as a context manager. Starting returns at once; whoever opens a store waits for it.
    """

    def __init__(self, directory: Path, cache: Cache, bwrap: Wall | None) -> None:
        self._directory = directory.resolve()
        self._cache = cache
        self._bwrap = bwrap
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._talk = threading.Lock()
        self._started = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> MlflowHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process, unless that was done before."""
        with self._started:
            if self._thread is None:
                self._directory.mkdir(parents=True, exist_ok=True)
                self._thread = threading.Thread(target=self._keep, name="mlflow", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the process and every server of it."""
        with self._started:
            started, ended = self._thread, self._process
            if ended is not None:
                process.end_group(ended)  # type: ignore[arg-type]
            if started is not None:
                started.join(timeout=10)

    @contextlib.contextmanager
    def open(self, seeded: Path | None = None) -> Iterator[MlflowServer]:
        """A server on a fresh empty store, or on a copy of a seeded one.

        Raises:
            GraderFault: it does not start.
        """
        self.start()
        # Servers see nothing beside their own stores, but whoever knew the path could reach another's socket.
        store = self._directory / secrets.token_hex(6)
        if not open_tree(seeded or self._template).copy_out("", store):
            raise GraderFault("a store cannot be copied whole")
        for name in mlflow_server.OWN_FILES:
            (store / name).unlink(missing_ok=True)
        (store / mlflow_server.ARTIFACTS).mkdir(exist_ok=True)
        secret = secrets.token_hex()

        def serve() -> None:
            self._say({"verb": "open", "store": str(store), "secret": secret})
            self._wait(server)

        def end() -> None:
            with contextlib.suppress(GraderFault):
                self._say({"verb": "close", "store": str(store)})

        def restart() -> None:
            end()
            serve()

        server = MlflowServer(store, secret=secret, restart=restart, try_another=self._try_empty)
        try:
            serve()
            yield server
        finally:
            server.close()
            end()
            remove_tree(store)

    def _try_empty(self) -> None:
        """Whether it is not only one store that does not answer."""
        with self.open() as server:
            server.ask("POST", "experiments/search", max_results=1)

    @cached_property
    def _template(self) -> Path:
        inputs = {
            "python": sys.version,
            "packages": {name: importlib.metadata.version(name) for name in ("mlflow", "sqlalchemy")},
            "script": hashlib.sha256(_SCRIPT.read_bytes()).hexdigest(),
        }
        return self._cache.get("mlflow", inputs, self._migrate) / "store"

    def _migrate(self, directory: Path) -> None:
        store = directory / "store"
        store.mkdir()
        done = process.run(self._argv([store], "migrate", str(store)), timeout=_IMPORT_SECONDS)
        if done.returncode != 0:
            raise GraderFault("MLflow's database cannot be made", log_tail=done.output[-_TAIL:])

    def _argv(self, writable: list[Path], *words: str) -> list[str]:
        readable, hidden = interpreter_paths()
        script = _SCRIPT.read_text(encoding="utf-8")
        # The script is handed over as text: the package that it lies in stays out of the server's sight.
        return jailed(
            [sys.executable, "-I", "-c", script, *words],
            bwrap=self._bwrap,
            readable=readable,
            hidden=hidden,
            writable=writable,
            env={"PYTHONDONTWRITEBYTECODE": "1"},
        )

    def _keep(self) -> None:
        """Start the process and hand on its answers.

        One thread does both while the process lives: bubblewrap ends with the thread that started it.
        """
        with (self._directory / "log").open("wb") as log:
            try:
                started = subprocess.Popen(
                    self._argv([self._directory]),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                )
            except OSError:
                self._answers.put(None)
                return
        self._process = started
        with started:
            for line in started.stdout or ():
                self._answers.put(json.loads(line))
            self._answers.put(None)

    @cached_property
    def _ready(self) -> bool:
        return "ready" in self._answer(_IMPORT_SECONDS)

    def _say(self, message: dict[str, str]) -> None:
        with self._talk:
            if not self._ready or self._process is None or self._process.stdin is None:
                raise self._fault("the tracking server does not start")
            try:
                self._process.stdin.write(json.dumps(message) + "\n")
                self._process.stdin.flush()
            except (OSError, ValueError) as error:
                raise self._fault("the tracking server has ended") from error
            if self._answer(_OPEN_SECONDS) != {"done": message["verb"]}:
                raise self._fault("the tracking server does not open a store")

    def _answer(self, seconds: float) -> dict[str, Any]:
        try:
            answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise self._fault(f"the tracking server gives no answer within {seconds} s") from None
        if answer is None:
            self._answers.put(None)
            raise self._fault("the tracking server has ended")
        return answer

    def _wait(self, server: MlflowServer) -> None:
        """A refused connection is a server that died: its socket was listening before it began."""
        import httpx

        def is_ready() -> bool:
            try:
                return server.client.get("/health").status_code == 200
            except httpx.ConnectError as error:
                raise self._fault("the tracking server died as it started", server.store) from error
            except httpx.HTTPError:
                return False

        if not wait_until(is_ready, alive=lambda: True, seconds=_OPEN_SECONDS):
            raise self._fault("the tracking server does not become ready", server.store)

    def _fault(self, message: str, store: Path | None = None) -> GraderFault:
        log = self._directory / "log" if store is None else store / mlflow_server.LOG
        return GraderFault(message, log_tail=_tail(log))


def _tail(log: Path) -> str:
    content = open_tree(log.parent).read(log.name, _MAX_LOG) or b""
    return content[-_TAIL:].decode("utf-8", "replace")
