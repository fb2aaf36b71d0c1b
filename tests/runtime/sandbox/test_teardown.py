"""Nothing outlives a grade, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from grader import docker_engine
from grader.runtime.sandbox.control_groups import Groups
from grader.runtime.temporary import sweep
from tests.census import Census, left, take_census
from tests.docker_engine import use_engine
from tests.runtime.sandbox.isolation import ALL, MARK, eventually, marked

if TYPE_CHECKING:
    from collections.abc import Iterator

DRIVER = """
    import os, signal, sys, threading
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path
    from grader.runtime.cell import Cell, environment_of
    from grader.runtime.sandbox.paths import PYTHON
    from grader.runtime.sandbox.open import open_sandbox
    from grader.runtime.temporary import scratch_directory
    from grader.runtime.warm import Preload, Warm

    isolation, mark, parent, how = sys.argv[1:]

    def interrupted(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, interrupted)
    DAEMON = "setsid sh -c 'setsid sleep 600 & sleep 600' >/dev/null 2>&1 & sleep 600"
    with scratch_directory(Path(parent)) as scratch:
        warm = isolation == "warm"
        sandbox = open_sandbox("bubblewrap" if warm else isolation, scratch=scratch / "sandbox")
        sandbox = Warm(sandbox, scratch / "arena") if warm else sandbox
        try:
            workspace = scratch / "arena/w"
            workspace.mkdir(parents=True)
            more = {"CONFORMANCE_MARK": mark}
            cell = Cell(workspace, sandbox=sandbox, python=PYTHON, scratch=scratch / "arena/c",
                        readable=(PYTHON.parents[1],), env=more)
            run = lambda: cell.run(["sh", "-c", DAEMON])
            if warm:
                sandbox.prepare(Preload(python=PYTHON, env=environment_of(PYTHON, more),
                                        readable=(PYTHON.parents[1],)))
                assert sandbox.ready(30)
                (workspace / "script.py").write_text(f"import os; os.system({DAEMON!r})")
                run = lambda: cell.python("script.py")
            with ThreadPoolExecutor(3) as threads:
                try:
                    threads.submit(run)
                    with cell.serve([str(PYTHON), "-m", "http.server", "47021"], port=47021):
                        print("ready", flush=True)
                        if how == "exception": raise ValueError("x")
                        if how == "run": run()
                        threading.Event().wait()
                finally:
                    sandbox.close()
        finally:
            sandbox.close()
"""


@contextmanager
def driven(tmp_path: Path, isolation: str, mark: str, how: str) -> Iterator[subprocess.Popen[str]]:
    script = tmp_path / "driver.py"
    script.write_text(dedent(DRIVER))
    (tmp_path / "parent").mkdir()
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, str(script), isolation, mark, str(tmp_path / "parent"), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])},
    ) as driver:
        try:
            assert driver.stdout is not None
            if driver.stdout.readline() != "ready\n":
                assert driver.stderr is not None
                pytest.fail(driver.stderr.read())
            enough = {"exception": 0, "wait": 5, "run": 8}[how]  # an exception may end them before we look
            assert eventually(lambda: len(marked(mark)) >= enough), marked(mark)
            yield driver
        finally:
            driver.kill()


@pytest.mark.slow
@pytest.mark.parametrize("isolation", [*ALL, "warm"])
@pytest.mark.parametrize(
    ("how", "number"),
    [
        ("wait", signal.SIGINT),
        ("wait", signal.SIGTERM),
        ("wait", signal.SIGKILL),
        ("run", signal.SIGINT),
        ("run", signal.SIGKILL),
        ("exception", None),
    ],
)
def test_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str, how: str, number: signal.Signals | None
) -> None:
    client = use_engine(monkeypatch) if isolation == "docker" else None
    mark = os.urandom(8).hex()
    parent = tmp_path / "parent"

    def look(driver: int = 0) -> Census:
        found = take_census(str(parent), parent, engine=client)
        # Other graders of this machine have control groups meanwhile, too.
        groups = {name for name in found["control groups"] if "grader-" not in name or f"-{driver}-" in name}
        return found | {"processes": found["processes"] | set(marked(mark)), "control groups": groups}

    before = look()
    with driven(tmp_path, isolation, mark, how) as driver:
        if number is not None:
            driver.send_signal(number)
        driver.wait(60)
    if number is signal.SIGKILL:
        assert eventually(lambda: marked(mark) == [], 20), marked(mark)
        assert len(list(parent.iterdir())) == 1
        sweep(parent)
        Groups().close()  # as the next grader's
        if client is not None:
            docker_engine.sweep(client)

    def found() -> Census:
        return left(before, look(driver.pid))

    assert eventually(lambda: found() == {}), found()
    if client is not None:
        client.close()
    assert MARK in DRIVER
