"""One scenario's private place: its workspace, environment, services and runs."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from grader.files import changed, open_tree
from grader.runtime.sandbox.limits import Limits
from grader.runtime.sandbox.model import Bind, Job, Run
from grader.timeline import Timeline

if TYPE_CHECKING:
    import httpx

    from grader.runtime.sandbox.process import Process
    from grader.runtime.sandbox.protocol import Sandbox

PROBES = Path(__file__).parent / "probes"
ANSWER = "/proc/self/fd/3"
"""Where a probe writes its answer: to what it holds itself (see `Job.answer`)."""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT: Mapping[str, str] = {
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "DVC_NO_ANALYTICS": "true",
    # MLflow would start a Python for each logged model to see what it imports; what it falls back on serves.
    "MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT": "0",
}


def environment_of(python: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that every program in a cell gets, and some more."""
    return {**ENVIRONMENT, "PATH": f"{python.parent}:{SYSTEM_PATH}", **(more or {})}


class Server:
    """A command that serves HTTP for as long as a `Cell.serve` block lasts."""

    def __init__(self, process: Process, client: httpx.Client) -> None:
        self._process = process
        self.client = client
        """Asks the server; `httpx.ConnectError` until its port is open."""

    def alive(self) -> bool:
        """Whether the command still runs."""
        return self._process.alive()

    def output(self) -> str:
        """What it wrote so far."""
        return self._process.output()

    def wait(self, timeout: float) -> Run | None:
        """The run, if the command ends within so many seconds."""
        return self._process.wait(timeout)

    def stop(self) -> Run:
        """End the command, with all that it started."""
        return self._process.stop()

    def run(self) -> Run:
        """How it ended: by itself, or else it is stopped now."""
        return self._process.stop()


class Cell:
    """Runs commands in a workspace, each isolated from the machine and from all other cells."""

    def __init__(
        self,
        workspace: Path,
        *,
        sandbox: Sandbox,
        python: Path,
        scratch: Path,
        readable: Sequence[Path] = (),
        outbound: Mapping[int, Path] | None = None,
        env: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        timeline: Timeline | None = None,
    ) -> None:
        """Set the scene.

        Args:
            workspace: on the host; what runs here reads and writes it.
            python: the candidate's interpreter; its directory comes first on PATH.
            scratch: a private directory of the grader for this cell, never the workspace.
            readable: directories that runs see at their own paths, such as the environment and its Python.
            outbound: port on the loopback -> Unix socket that answers there.
            env: variables besides the usual ones.
            timeline: told how long its runs take.
        """
        self.workspace = workspace
        self.files = open_tree(workspace)
        """The way to what stands in the workspace once anything has run there."""
        self.limits = limits or Limits()
        self._sandbox = sandbox
        self._python = python
        self._scratch = scratch
        self._binds = tuple(Bind(path) for path in dict.fromkeys(readable))
        self._outbound = dict(outbound or {})
        self._env = environment_of(python, env)
        self._numbers = itertools.count()
        self._timeline = timeline or Timeline()

    @property
    def root(self) -> str:
        """The path at which programs see the workspace, which is their working directory."""
        return self._sandbox.workspace(self.workspace)

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> Run:
        """Run a command to its end; a program without a slash is looked for on PATH, the environment's first.

        Raises:
            GraderFault: the sandbox failed, which is not the candidate's fault.
        """
        return self._run(self._job(argv, env=env, limits=limits), " ".join(argv))

    def python(self, *args: str, env: Mapping[str, str] | None = None, limits: Limits | None = None) -> Run:
        """Run the candidate's Python: `cell.python("src/train.py")`."""
        return self.run((os.fspath(self._python), *args), env=env, limits=limits)

    def probe(
        self,
        script: str,
        request: object,
        *,
        env: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        title: str = "",
        binds: Sequence[Bind] = (),
        fresh: bool = False,
        apart: bool = False,
    ) -> tuple[Run, object | None]:
        """Run `probes/<script>.py REQUEST ANSWER` with the candidate's Python, in the workspace.

        REQUEST is the path of a JSON file, ANSWER one to write JSON to, once. The answer is None where the
        script wrote none that can be read. Where the script imports the candidate's code itself, what it
        says is evidence, not truth.

        Args:
            title: names the run in the timeline.
            binds: what else the script sees.
            fresh: see `Job.fresh`.
            apart: whether the script decides for itself and leaves the candidate's code to its children (see
                `probes/parent.py`). Variables that Python obeys before any script does are for those alone:
                the request says them as `variables`.
        """
        variables = {**self._env, **(env or {})}
        if apart and isinstance(request, Mapping):
            held = {name: value for name, value in variables.items() if _is_obeyed(name, value)}
            variables = {name: value for name, value in variables.items() if name not in held}
            request = {**request, "variables": held}
        directory = self._scratch / f"probe-{next(self._numbers)}"
        directory.mkdir(parents=True)
        (directory / "request.json").write_text(json.dumps(request), encoding="utf-8")
        probes = Bind(PROBES, "/grader/probes")
        asked = Bind(directory / "request.json", "/grader/request.json")
        see = self._sandbox.sees
        argv = (os.fspath(self._python), f"{see(probes)}/{script}.py", see(asked), ANSWER)
        seen = (probes, asked, *binds)
        job = replace(
            self._job(argv, env=None, limits=limits, binds=seen, answer=True, fresh=fresh),
            env=variables,
        )
        run = self._run(job, title or f"{script} (probe)")
        return run, _parse(run.answer)

    def program(
        self, script: str, *args: str, env: Mapping[str, str] | None = None, limits: Limits | None = None
    ) -> Run:
        """Run the candidate's Python like `python`, by way of `probes/<script>.py`, which may answer.

        What it answers is the run's `answer`, as it is.
        """
        probes = Bind(PROBES, "/grader/probes")
        argv = (os.fspath(self._python), f"{self._sandbox.sees(probes)}/{script}.py", *args)
        return self._run(
            self._job(argv, env=env, limits=limits, binds=(probes,), answer=True),
            " ".join((os.fspath(self._python), *args)),
        )

    def sees(self, bind: Bind) -> str:
        """The path at which a probe sees a bind."""
        return self._sandbox.sees(bind)

    def private(self) -> Path:
        """A new directory that nothing in the cell can reach, as long as the cell lasts."""
        directory = self._scratch / f"private-{next(self._numbers)}"
        directory.mkdir(parents=True)
        return directory

    def _run(self, job: Job, title: str) -> Run:
        begin = time.perf_counter()
        run = self._sandbox.run(job)
        name = f"{self._scratch.name}: {title.replace(f'{self._python.parent}/', '')}"
        self._timeline.note("run", name, begin, waited=max(0.0, time.perf_counter() - begin - run.seconds))
        return run

    @contextlib.contextmanager
    def serve(
        self,
        argv: Sequence[str],
        *,
        port: int,
        env: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> Iterator[Server]:
        """A command that is to open a port, as long as the block lasts. Waits for nothing: ask and see."""
        from grader.runtime.services.http import client

        process = self._sandbox.start(self._job(argv, env=env, limits=limits, inbound=(port,)))
        try:
            title = f"{self._scratch.name}: {argv[0].rpartition('/')[2]} (as long as it served)"
            with client(process.connection(port), port) as http, self._timeline.span("run", title):
                yield Server(process, http)
        finally:
            process.stop()

    def read(self, path: str | PurePosixPath, limit: int = 16 * 2**20) -> bytes | None:
        """A regular file of the workspace, reached through no link; None where there is none so small."""
        return self.files.read(path, limit)

    def snapshot(self) -> Mapping[str, str]:
        """The workspace's regular files as they are now, to compare with later."""
        return self.files.snapshot()

    def changed(self, before: Mapping[str, str]) -> tuple[str, ...]:
        """Files that are new or different since a snapshot."""
        return changed(before, self.snapshot())

    def _job(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None,
        limits: Limits | None,
        binds: tuple[Bind, ...] = (),
        inbound: tuple[int, ...] = (),
        answer: bool = False,
        fresh: bool = False,
    ) -> Job:
        return Job(
            argv=tuple(argv),
            workspace=self.workspace,
            env={**self._env, **(env or {})},
            limits=limits or self.limits,
            binds=(*self._binds, *binds),
            outbound=self._outbound,
            inbound=inbound,
            answer=answer,
            fresh=fresh,
        )


def _is_obeyed(name: str, value: str) -> bool:
    """Whether a variable changes how Python starts, and is not one that every program gets."""
    return name.startswith("PYTHON") and ENVIRONMENT.get(name) != value


def _parse(data: bytes | None) -> object | None:
    if data is None:
        return None
    try:
        found: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found
