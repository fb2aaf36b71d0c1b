"""Which files a script imports, wherever it puts the folders that they are in on the search path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.readers.python.imports import reachable
from tests.builders import make_submission

if TYPE_CHECKING:
    from pathlib import Path

PROLOGUES = {
    "os.path": "sys.path.insert(0, "
    "os.path.abspath(os.path.join(os.path.dirname(__file__), os.pardir, 'lib')))",
    "os.path in steps": "here = os.path.dirname(os.path.abspath(__file__))\nroot = os.path.dirname(here)\n"
    "sys.path.append(os.path.join(root, 'lib'))",
    "parents": "sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'lib'))",
    "parent": "ROOT = Path(__file__).absolute().parent.parent\nLIB = ROOT.joinpath('lib')\n"
    "if str(LIB) not in sys.path:\n    sys.path.insert(0, LIB.as_posix())",
    "text": "sys.path.append('lib')",
    "text with dots": "sys.path.append('./lib/')",
    "upwards": "sys.path.append(os.path.dirname(__file__) + '/../lib')",
    "f-string": "sys.path.append(f'{os.path.dirname(__file__)}/../lib')",
    "current folder": "sys.path.insert(0, os.path.join(os.getcwd(), 'lib'))",
    "Path.cwd": "sys.path.insert(1, str(Path.cwd() / 'lib'))",
    "added to": "sys.path += [str(Path(__file__).parent / '..' / 'lib')]",
    "extended": "sys.path.extend([os.path.dirname(__file__), os.path.realpath('lib')])",
    "put together": "sys.path = ['lib'] + sys.path",
    "slice": "sys.path[:0] = ['lib']",
    "loop": "for part in ('shared', 'lib'):\n    sys.path.insert(0, str(Path(__file__).parents[1] / part))",
    "site": "import site\nsite.addsitedir(os.path.join(os.path.dirname(__file__), '..', 'lib'))",
    "other names": "from os.path import abspath, dirname, join\n"
    "sys.path.append(join(dirname(dirname(abspath(__file__))), 'lib'))",
    "in a function": "def prepare():\n    root = Path(__file__).parents[1]\n"
    "    sys.path.append(str(root / 'lib'))\nprepare()",
    "not to be told": "sys.path.append(os.environ['LIB'])",
}


@pytest.mark.parametrize("prologue", PROLOGUES.values(), ids=PROLOGUES)
def test_a_script_sets_its_search_path(tmp_path: Path, prologue: str) -> None:
    files: dict[str, str | bytes] = {
        "src/drift.py": f"import os, sys\nfrom pathlib import Path\n{prologue}\n"
        "from churn.watch import drift\n",
        "lib/churn/__init__.py": "",
        "lib/churn/watch.py": "from churn import names\nfrom . import report\n",
        "lib/churn/names.py": "",
        "lib/churn/report.py": "",
        "lib/other.py": "",
        "other.py": "",
    }
    submission = make_submission(tmp_path, files)
    start = submission.file("src/drift.py")
    assert start is not None
    assert {str(file.path) for file in reachable(submission, start)} == {
        "src/drift.py",
        *(f"lib/churn/{name}.py" for name in ("__init__", "watch", "names", "report")),
    }


CONFIGURED = {
    "stage": {"dvc.yaml": "stages:\n  a:\n    cmd: PYTHONPATH=lib python src/drift.py\n"},
    "recipe": {"Makefile": "export PYTHONPATH := $(CURDIR)/lib:$(PYTHONPATH)\nall:\n\tpython src/drift.py\n"},
    "image": {"Dockerfile": "FROM python\nENV PYTHONPATH=/app/lib\n"},
    "old image": {"Dockerfile": "FROM python\nENV PYTHONPATH /app/src:/app/lib\n"},
    "workflow": {".github/workflows/a.yml": "env:\n  PYTHONPATH: ${{ github.workspace }}/lib\n"},
    "file of variables": {".env": 'PYTHONPATH="./lib"\n'},
    "notes": {"README.md": "```\nPYTHONPATH=$PWD/lib:$PYTHONPATH python src/drift.py\n```\n"},
    "PowerShell": {"run.ps1": '$env:PYTHONPATH = "src;lib"\n'},
    "pytest": {"pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["src", "lib"]\n'},
    "mapping": {"compose.yaml": "services:\n  a:\n    environment:\n      - PYTHONPATH=/app/lib\n"},
}


@pytest.mark.parametrize("files", CONFIGURED.values(), ids=CONFIGURED)
def test_who_starts_it_sets_the_search_path(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    files = {
        **files,
        "src/drift.py": "import churn.watch\n",
        "lib/churn/watch.py": "",
        "more/churn/watch.py": "",
    }
    submission = make_submission(tmp_path, files)
    start = submission.file("src/drift.py")
    assert start is not None
    assert [str(file.path) for file in reachable(submission, start)] == ["src/drift.py", "lib/churn/watch.py"]


@pytest.mark.parametrize(
    "prologue", ["", "sys.path.append('libs')", "print('lib', sys.path)", "sys.path.append('/../../etc')"]
)
def test_a_folder_that_nobody_named_is_not_searched(tmp_path: Path, prologue: str) -> None:
    files: dict[str, str | bytes] = {
        "src/drift.py": f"import sys\n{prologue}\nimport churn.watch\n",
        "lib/churn/watch.py": "",
    }
    submission = make_submission(tmp_path, files)
    start = submission.file("src/drift.py")
    assert start is not None
    assert [str(file.path) for file in reachable(submission, start)] == ["src/drift.py"]


def test_what_the_script_put_in_front_comes_first(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "src/a.py": "import sys\nsys.path.insert(0, 'lib')\nimport helper\n",
        "src/helper.py": "",
        "lib/helper.py": "",
    }
    submission = make_submission(tmp_path, files)
    start = submission.file("src/a.py")
    assert start is not None
    assert [str(file.path) for file in reachable(submission, start)] == ["src/a.py", "lib/helper.py"]


def test_a_module_may_be_imported_by_a_call(tmp_path: Path) -> None:
    text = "import importlib, runpy\nimportlib.import_module('b')\nrunpy.run_module('src.c')\nprint('d')\n"
    submission = make_submission(tmp_path, {"a.py": text, "b.py": "", "src/c.py": "", "d.py": ""})
    start = submission.file("a.py")
    assert start is not None
    assert {str(file.path) for file in reachable(submission, start)} == {"a.py", "b.py", "src/c.py"}


def test_a_path_that_is_defined_by_itself_ends(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "a.py": "import sys\nx = y\ny = x\nsys.path.append(x)\nimport b\n",
        "b.py": "",
    }
    submission = make_submission(tmp_path, files)
    start = submission.file("a.py")
    assert start is not None
    assert [str(file.path) for file in reachable(submission, start)] == ["a.py", "b.py"]


def test_a_path_that_doubles_itself_ends(tmp_path: Path) -> None:
    lines = "".join(f"x{n} = os.path.join({', '.join([f'x{n + 1}'] * 50)})\n" for n in range(20))
    files: dict[str, str | bytes] = {
        "a.py": f"import os, sys\n{lines}sys.path.append(x0)\nimport b\n",
        "b.py": "",
    }
    submission = make_submission(tmp_path, files)
    start = submission.file("a.py")
    assert start is not None
    assert [str(file.path) for file in reachable(submission, start)] == ["a.py", "b.py"]
