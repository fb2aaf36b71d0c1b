"""Where the dynamic checks of one grade run: the environment, the services and the cells of a submission."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from grader import command as process
from grader import files
from grader.check import Scenario, World
from grader.errors import GraderFault
from grader.results import Finding
from grader.runtime.cell import PROBES, Cell
from grader.runtime.environment import build as environment
from grader.runtime.sandbox.limits import Limits
from grader.runtime.services.mlflow_server import OWN_FILES
from grader.runtime.shared_runtime import SharedRuntime
from grader.runtime.temporary import remove_tree
from grader.runtime.workspace import assemble, replaced_data
from grader.timeline import Timeline
from grader.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from grader.exam.model import Exam
    from grader.runtime.cache import Cache
    from grader.runtime.environment.build import Environment
    from grader.runtime.sandbox.model import Run
    from grader.runtime.sandbox.protocol import Sandbox
    from grader.runtime.services.mlflow import MlflowServer
    from grader.runtime.services.s3 import ObjectStore
    from grader.submission.model import Submission

UNREACHABLE: Mapping[str, str] = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
"""By default MLflow's client tries an absent server for minutes."""
_SEED_LIMITS = Limits(cpu_seconds=300, wall_seconds=600)
_SEED_FILES = "files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """What a recipe made; nothing may write to it."""

    store: Path
    """For `SubmissionRuntime.mlflow(seeded=…)`."""
    answer: Any
    """What the recipe says of it."""
    files: Path
    """A directory of files that it made, as `model.pkl`."""


class SeedFailed(GraderFault):
    """A recipe did not get through in the candidate's environment.

    Where the environment is the candidate's own and cannot import what it pins, that is the reason.
    """

    def __init__(self, recipe: str, run: Run) -> None:
        self.run = run
        super().__init__(f"{recipe}.py {run.describe()}", log_tail=run.tail())


class SubmissionRuntime:
    """One per grade; a context manager that leaves nothing behind. Safe to use from several threads."""

    def __init__(
        self,
        submission: Submission,
        exam: Exam,
        *,
        isolation: str = "bubblewrap",
        tools: Tools | None = None,
        cache: Cache | None = None,
        shared: SharedRuntime | None = None,
        timeline: Timeline | None = None,
    ) -> None:
        """Nothing starts before it is asked for.

        Args:
            isolation, cache: of the shared runtime that it opens for itself, where none is given.
            shared: open as long as this is.
            timeline: told how long everything takes.
        """
        self._submission = submission
        self._exam = exam
        self._services = exam.services
        self._tools = tools or Tools()
        self._lent = shared
        self._own = SharedRuntime(isolation=isolation, hidden=(exam.directory.resolve(),), cache=cache)
        self._timeline = timeline or Timeline()
        self._stack = contextlib.ExitStack()
        self._lock = Lock()
        self._opening = Lock()
        self._environment: Future[Environment] | None = None
        self._leased: Sandbox | None = None
        self._incomplete: list[str] = []

    def __enter__(self) -> SubmissionRuntime:
        with contextlib.ExitStack() as stack:
            self._shared = self._lent or stack.enter_context(self._own)
            self._cache = self._shared.cache.share()
            stack.callback(self._cache.release)
            self._pool = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="runtime"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._abandon()
        self._stack.close()

    def _abandon(self) -> None:
        """End the building of an environment, which would otherwise be waited for: it may take minutes."""
        while (future := self._environment) is not None and not future.done() and not future.cancel():
            process.end_all()
            wait([future], timeout=0.1)

    def warm_up(self) -> None:
        """Begin at once with what takes long; returns immediately."""
        parts = (part for task in self._exam.tasks for each in task.criteria for part in each.parts)
        if any(_has_world(part.parameters.values()) for part in parts):
            self._shared.host.start()  # else the first to need a tracking server starts it
        self._preparing().add_done_callback(self._preload)

    @property
    def environment(self) -> Environment:
        """The environment that candidate code runs with; the first to ask waits for it.

        Raises:
            GraderFault: it could not be prepared; the next to ask tries again.
        """
        future = self._preparing()
        try:
            return future.result()
        except GraderFault:
            with self._lock:
                if self._environment is future:
                    self._environment = None
            raise

    @property
    def prepared(self) -> Environment | None:
        """The environment if somebody asked for it and it could be had; waits for nothing."""
        future = self._environment
        if future is None or not future.done() or future.exception() is not None:
            return None
        return future.result()

    @property
    def remarks(self) -> tuple[Finding, ...]:
        """What running does otherwise than the submission says."""
        with self._lock:
            incomplete = dict.fromkeys(self._incomplete)
        ours = (
            Finding(message=each)
            for each in (*self._cache.take_remarks(), *self._shared.cache.take_remarks(), *incomplete)
        )
        return (*replaced_data(self._submission, self._given), *ours)

    @contextlib.contextmanager
    def cell(
        self,
        *,
        mlflow: MlflowServer | None = None,
        objects: ObjectStore | None = None,
        without: Sequence[str] = (),
        files: Mapping[str, bytes | Path] | None = None,
        env: Mapping[str, str] | None = None,
        outbound: Mapping[int, Path] | None = None,
        git: bool = False,
    ) -> Iterator[Cell]:
        """A private world; its workspace is submission and given data, less `without`, plus `files`.

        Args:
            mlflow: answers at `MLFLOW_TRACKING_URI`; without it nothing listens there.
            objects: answers at `AWS_ENDPOINT_URL`, likewise.
            outbound: port -> Unix socket of other services.
            git: make the workspace a repository, as DVC wants it.
        """
        program = self._tools.require("git") if git else None
        if objects is not None:
            outbound = {self._services.objects_port: objects.socket, **(outbound or {})}
        told = {**self._services.variables, **({} if mlflow else UNREACHABLE)}
        variables = {**told, **self._submission.manifest.environment, **(env or {})}
        with self._cell(mlflow, variables, outbound) as cell:
            assemble(cell.workspace, self._submission, self._given, without=without, files=files, git=program)
            yield cell

    @contextlib.contextmanager
    def mlflow(self, name: str, *, seeded: Path | None = None) -> Iterator[MlflowServer]:
        """A tracking server on an empty store, or on a copy of a seeded one, as long as the block lasts."""
        begin = time.perf_counter()
        with self._shared.host.open(seeded) as server:
            self._timeline.note("service", f"tracking server for {name}", begin)
            try:
                yield server
            finally:
                with self._lock:
                    self._incomplete += (f"{name}, tracking server: {message}" for message in server.remarks)

    @contextlib.contextmanager
    def object_store(self) -> Iterator[ObjectStore]:
        """An S3 endpoint without buckets, as long as the block lasts; only in the thread that it began in."""
        begin = time.perf_counter()
        with self._shared.objects() as store:
            self._timeline.note("service", "S3 endpoint", begin)
            yield store

    def seeded(self, recipe: str, parameters: Mapping[str, Any]) -> Seeded:
        """What `probes/<recipe>.py` makes of `parameters` in the candidate's environment; made once.

        It runs in a workspace that holds the given data only, with an empty tracking server.

        Raises:
            SeedFailed: it did not get through.
        """
        inputs = self._seed_inputs(recipe, parameters)
        with self._timeline.span("seed", recipe):
            entry = self._cache.get("seeds", inputs, lambda directory: self._seed(inputs, directory))
        answer = json.loads((entry / "answer.json").read_text(encoding="utf-8"))
        return Seeded(store=entry / "store", answer=answer, files=entry / _SEED_FILES)

    def _seed(self, inputs: Mapping[str, Any], directory: Path) -> None:
        """Others with the same packages use what comes of it: nothing of this submission may be in it."""
        recipe, variables = inputs["recipe"], inputs["variables"]
        with self.mlflow(recipe) as server, self._cell(server, variables, None) as cell:
            assemble(cell.workspace, None, self._exam.data)
            run, answer = cell.probe(recipe, inputs["parameters"], limits=_SEED_LIMITS)
            if not run.ok or answer is None:
                raise SeedFailed(recipe, run)
            _copy_files(server.store, directory / "store")
            for name in OWN_FILES:
                (directory / "store" / name).unlink(missing_ok=True)
            _copy_files(cell.workspace / _SEED_FILES, directory / _SEED_FILES)
        (directory / "answer.json").write_text(json.dumps(answer), encoding="utf-8")

    def _seed_inputs(self, recipe: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        prepared = self.environment
        return {
            "recipe": recipe,
            # One recipe may borrow from another.
            "scripts": {path.name: _digest(path) for path in sorted(PROBES.glob("seed_*.py"))},
            "parameters": dict(parameters),
            "variables": dict(self._services.variables),
            "environment": prepared.key,
            # The same requirements may have been answered by other versions when they were installed anew.
            "packages": dict(sorted(prepared.packages.items())),
            "server": importlib.metadata.version("mlflow"),
            "data": {str(name): _digest(path) for name, path in sorted(self._exam.data.items())},
        }

    @property
    def _given(self) -> Mapping[str, Path]:
        return self._submission.given or self._exam.data

    @contextlib.contextmanager
    def _cell(
        self,
        mlflow: MlflowServer | None,
        variables: Mapping[str, str],
        outbound: Mapping[int, Path] | None,
    ) -> Iterator[Cell]:
        prepared = self.environment
        directory = self._shared.directory()
        workspace = directory / "workspace"
        workspace.mkdir()
        try:
            yield Cell(
                workspace,
                sandbox=self._sandbox(prepared),
                python=prepared.python,
                scratch=directory,
                readable=prepared.readable,
                outbound={
                    **({self._services.tracking_port: mlflow.socket} if mlflow else {}),
                    **(outbound or {}),
                },
                env=variables,
                timeline=self._timeline,
            )
        finally:
            remove_tree(directory)

    def _preparing(self) -> Future[Environment]:
        with self._lock:
            if self._environment is None:
                self._environment = self._pool.submit(self._prepare)
            return self._environment

    def _prepare(self) -> Environment:
        with (
            self._timeline.span("environment", self._submission.name),
            self._timeline.step("preparing the environment") as say,
        ):
            return environment.prepare(
                self._submission,
                self._exam.environment,
                self._cache,
                self._shared.bwrap,
                lambda text: say(f"environment: {text}"),
            )

    def _preload(self, future: Future[Environment]) -> None:
        """Have the candidate's Python import what most runs will, as soon as there is one."""
        if not future.cancelled() and future.exception() is None:
            self._sandbox(future.result())

    def _sandbox(self, prepared: Environment) -> Sandbox:
        """Where this submission's programs run: the same for all of them.

        What is warm there knows none of its variables: they could have it import what others put somewhere.
        """
        with self._opening:
            if self._leased is None:
                spec = self._exam.environment
                self._leased = self._stack.enter_context(
                    self._shared.sandbox(
                        prepared,
                        self._services.variables,
                        modules=spec.preload,
                        programs=spec.programs,
                    )
                )
            return self._leased


def _has_world(values: Iterable[object]) -> bool:
    """Whether parameters, or the scenarios among them, name a world: servers with something on them."""
    return any(
        isinstance(each, World) or (isinstance(each, Scenario) and _has_world(dict(each).values()))
        for each in values
    )


def _copy_files(source: Path, target: Path) -> None:
    """What a recipe made ran beside the candidate's packages: links are not followed."""
    if not files.open_tree(source).copy_out("", target):
        target.mkdir(exist_ok=True)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
