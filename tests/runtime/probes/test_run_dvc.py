"""Stages that are nothing but a Python script are forked; every other command is the shell's, as always."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from grader.checks.dvc.command import Limited, dvc, settings_files
from tests.checks.live import live_context, shared_runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from grader.checks.scripts.call import Called
    from grader.runtime.cell import Cell

pytestmark = pytest.mark.slow

LIMITS = Limited(packages=("dvc",), cpu_seconds=60, wall_seconds=120)
FINDS = """
    import json, os, sys
    ahead = "mlflow" in sys.modules
    from pathlib import Path
    found = {
        "ahead": ahead, "name": __name__, "file": __file__, "path": sys.path[0], "argv": sys.argv,
        "folder": os.getcwd(), "bytecode": sys.dont_write_bytecode, "main": sys.modules["__main__"].__file__,
        "stage": os.environ["DVC_STAGE"], "shell": os.environ["SHELL"], "more": os.environ.get("MORE"),
    }
    Path(os.environ["DVC_ROOT"], "found.json").write_text(json.dumps(found))
"""
SHELLS_OWN = {"ahead": False, "more": None}
FORKED = {"ahead": True, "more": None}


@pytest.fixture
def cell(root: Path) -> Iterator[Cell]:
    """A repository in a cell whose Python has imported what most scripts will."""
    with live_context(root, {}, deliverables={}) as context:
        files = settings_files(context, "dvc_config")
        assert isinstance(files, dict)
        with context.require_runtime().cell(files=files, git=True) as cell:
            kept = next(kept for kept in shared_runtime()._sandboxes.values() if kept.users)
            assert kept.warm is not None
            assert kept.warm.ready(60), kept.warm.problem
            yield cell


def stage(cell: Cell, command: str, *, folder: str = ".", **files: str) -> Called:
    """Run one stage."""
    for name, code in files.items():
        path = cell.workspace / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(code))
    text = json.dumps({"stages": {"only": {"cmd": command, "wdir": folder}}})
    (cell.workspace / "dvc.yaml").write_text(text)
    return dvc(cell, LIMITS, "repro")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python src/finds.py", {"argv": ["src/finds.py"], **FORKED}),
        ("python3  src/finds.py --a 'b c' 1e-3", {"argv": ["src/finds.py", "--a", "b c", "1e-3"], **FORKED}),
        ("python -m src.finds x", {"argv": ["/workspace/src/finds.py", "x"], "path": "/workspace", **FORKED}),
        ("python -u src/finds.py", {"argv": ["src/finds.py"], **SHELLS_OWN}),
        ("python src/finds.py $((1 + 1))", {"argv": ["src/finds.py", "2"], **SHELLS_OWN}),
        ("MORE=1 python src/finds.py", {"argv": ["src/finds.py"], "ahead": False, "more": "1"}),
        ("[[ a == a* ]] && python src/finds.py", {"argv": ["src/finds.py"], **SHELLS_OWN}),
        ("/usr/bin/env python src/finds.py", {"argv": ["src/finds.py"], **SHELLS_OWN}),
    ],
)
def test_what_a_stage_finds_around_it(cell: Cell, command: str, expected: dict[str, object]) -> None:
    called = stage(cell, command, src__finds_py=FINDS)
    assert called.run.ok, called.run.tail()
    assert json.loads(cell.read("found.json") or b"") == {
        "name": "__main__",
        "file": "/workspace/src/finds.py",
        "main": "/workspace/src/finds.py",
        "path": "/workspace/src",
        "folder": "/workspace",
        "bytecode": True,
        "stage": "only",
        "shell": "/bin/bash",
        **expected,
    }


def test_a_stage_in_a_folder_of_its_own(cell: Cell) -> None:
    called = stage(cell, "python finds.py", folder="src", src__finds_py=FINDS)
    assert called.run.ok, called.run.tail()
    found = json.loads(cell.read("found.json") or b"")
    assert (found["ahead"], found["folder"], found["argv"]) == (True, "/workspace/src", ["finds.py"])


def test_a_script_that_minds_what_is_imported(cell: Cell) -> None:
    called = stage(cell, "python src/finds.py", src__finds_py=FINDS + "    import pytest\n")
    assert called.run.ok, called.run.tail()
    assert json.loads(cell.read("found.json") or b"")["ahead"] is False


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("import sys; print('half a line', end=''); sys.exit(3)", 3, "half a line"),
        ("import atexit; atexit.register(print, 'the end'); raise SystemExit('no')", 1, "the end"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
        ("import json\njson.loads('{')", 1, ""),
        ("import sys\nimport", 1, ""),
    ],
)
def test_how_a_stage_ends(cell: Cell, code: str, status: int, said: str) -> None:
    called = stage(cell, "python src/ends.py", src__ends_py=code)
    assert (called.run.returncode, said in called.run.stdout) == (255, True), called.run.tail()
    assert f"exited with {status}\n" in called.run.stderr


def test_what_a_stage_says_of_an_error_is_of_its_own_lines(cell: Cell) -> None:
    called = stage(cell, "python src/ends.py", src__ends_py="def f():\n    raise ValueError('no')\nf()\n")
    begin = called.run.stderr.index("Traceback")
    assert called.run.stderr[begin:].splitlines()[1].strip() == (
        'File "/workspace/src/ends.py", line 3, in <module>'
    )


def test_a_script_that_is_not_there(cell: Cell) -> None:
    assert "can't open file '/workspace/src/none.py'" in stage(cell, "python src/none.py").run.stderr


def test_stages_leave_nothing_to_each_other(cell: Cell) -> None:
    code = """
        import os, random, sys, numpy
        print("before:", getattr(numpy, "mark", None), os.environ.get("LEFT"), sys.argv)
        print("chance:", random.random(), numpy.random.rand())
        numpy.mark = 1
        os.environ["LEFT"] = "x"
    """
    text = {"stages": {"all": {"matrix": {"n": [1, 2]}, "cmd": "python src/leaves.py ${item.n}"}}}
    stage(cell, "true", src__leaves_py=code)
    (cell.workspace / "dvc.yaml").write_text(json.dumps(text))
    called = dvc(cell, LIMITS, "repro")
    lines = called.run.stdout.splitlines()
    assert [line for line in lines if line.startswith("before:")] == [
        "before: None None ['src/leaves.py', '1']",
        "before: None None ['src/leaves.py', '2']",
    ]
    assert len({line for line in lines if line.startswith("chance:")}) == 2


def test_the_time_that_stages_take_is_counted(cell: Cell) -> None:
    code = "import time\nwhile time.process_time() < 3: pass\n"
    assert stage(cell, "python src/works.py", src__works_py=code).run.cpu_seconds > 3
