"""What of the source can decide something: found in small packages, and in the real one with changes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import grader
from grader.checks import ALL
from grader.cohort.regrade.code import Source, read_module
from grader.cohort.regrade.fingerprints import fingerprints
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.exam.model import Exam

SAME = {
    "comments": "import os\n\n# why\nx = 1  # what\n",
    "docstrings": '"""What it is."""\nimport os\nx = 1\n"""Of something."""\n',
    "layout": "import os; x = (\n    1\n)\n",
    "imports for types": "import os\nif TYPE_CHECKING:\n    from grader import files\nx = 1\n",
}
OTHER = {
    "a number": "import os\nx = 2\n",
    "a kind of number": "import os\nx = 1.0\n",
    "a name": "import os\ny = 1\n",
    "an import": "import sys\nx = 1\n",
    "what is no import for types": "import os\nif TYPE_CHECKING:\n    pass\nelse:\n    import sys\nx = 1\n",
    "a string that is no docstring": "import os\nx = 1\ny = 'a'\n",
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_what_decides_nothing_is_left_out(text: str) -> None:
    assert read_module(text.encode()) == read_module(b"import os\nx = 1\n")


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER)
def test_what_decides_something_counts(text: str) -> None:
    assert read_module(text.encode()).digest != read_module(b"import os\nx = 1\n").digest


def package(folder: Path, files: Mapping[str, str]) -> Source:
    """A package of these modules."""
    for name, text in {"__init__.py": "", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Source(folder)


FILES = {
    "top.py": (
        "from grader.room import door\nfrom grader.middle import thing\nimport grader.last\nimport yaml.a\n"
    ),
    "room/__init__.py": "from grader.unrelated import other\n",
    "room/door.py": "def f():\n    from grader import late\n",
    "middle.py": "from grader.room import sign\nthing = context.exam.reference\n",
    "last.py": "run('-m', 'grader.started')\nopen('table.txt')\n",
    "late.py": "",
    "started.py": "",
    "unrelated.py": "",
    "table.txt": "1",
    "other.txt": "1",
}


def test_imports_are_followed(tmp_path: Path) -> None:
    """`sign` is no module, so that it is the package's own; what the package imports counts then."""
    closure = package(tmp_path, FILES).closure(["grader.top"])
    names = ("top", "room", "room.door", "middle", "last", "late", "started", "unrelated")
    assert closure.modules == {f"grader.{name}" for name in names}
    assert ({*closure.packages}, {*closure.exam}, closure.runs) == ({"yaml"}, {"reference"}, False)


@pytest.mark.parametrize(("path", "counts"), [("table.txt", True), ("other.txt", False), ("late.py", True)])
def test_files_that_are_read_count(tmp_path: Path, path: str, *, counts: bool) -> None:
    before = package(tmp_path / "a", FILES).closure(["grader.top"]).digest
    after = package(tmp_path / "b", {**FILES, path: "x = 2"}).closure(["grader.top"]).digest
    assert (before != after) is counts


# --- the real one -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exam() -> Exam:
    return load_exam(RUBRICS, ALL)


@pytest.fixture(scope="module")
def known(exam: Exam) -> Mapping[str, str]:
    return fingerprints(exam).tasks


def changed(tmp_path: Path, exam: Exam, known: Mapping[str, str], path: str, text: str) -> set[str]:
    """The tasks whose fingerprint another text at the end of a file changes."""
    root = tmp_path / "grader"
    shutil.copytree(Path(grader.__file__).parent, root, ignore=shutil.ignore_patterns("__pycache__", "_data"))
    with (root / path).open("a") as file:
        file.write(text)
    now = fingerprints(exam, Source(root)).tasks
    return {task for task in now if now[task] != known[task]}


CHANGE = "\nCHANGED = 1\n"
CHANGED = {
    "checks/prometheus/promql.py": {"6.1"},
    "checks/serving/checks.py": {"4.1"},
    "checks/kubernetes/checks.py": {"4.2"},
    "runtime/probes/read_store.py": {"3.3"},
    "cohort/batch.py": set(),
    "report/text.py": set(),
    "__init__.py": set(),
}


@pytest.mark.parametrize(("path", "tasks"), CHANGED.items(), ids=CHANGED)
def test_a_change_concerns_those_who_can_reach_it(
    tmp_path: Path, exam: Exam, known: Mapping[str, str], path: str, tasks: set[str]
) -> None:
    assert changed(tmp_path, exam, known, path, CHANGE) == tasks


SHARED = {
    "readers/shell/lexer.py": ({"2.1", "4.1", "5.1"}, {"1.3", "4.2"}),
    "readers/plain_data.py": ({"6.1"}, {"1.3", "4.1"}),
    "runtime/services/mlflow_server.py": ({"3.1", "4.1"}, {"4.2", "5.1"}),
    "runtime/inside/relay.py": ({"3.1", "4.1"}, {"4.2", "5.1"}),
    "runtime/probes/seed_model.py": ({"4.1", "5.2"}, {"4.2", "6.1"}),
}


@pytest.mark.parametrize(("path", "tasks"), SHARED.items(), ids=SHARED)
def test_a_change_of_what_is_shared_concerns_all_who_share_it(
    tmp_path: Path, exam: Exam, known: Mapping[str, str], path: str, tasks: tuple[set[str], set[str]]
) -> None:
    found = changed(tmp_path, exam, known, path, CHANGE)
    assert (found & tasks[0], found & tasks[1]) == (tasks[0], set())


@pytest.mark.parametrize("path", ["submission/deliverables.py", "score.py", "grading.py", "session.py"])
def test_what_every_grade_uses_concerns_all(
    tmp_path: Path, exam: Exam, known: Mapping[str, str], path: str
) -> None:
    assert changed(tmp_path, exam, known, path, CHANGE) == set(known)


def test_a_comment_concerns_nobody(tmp_path: Path, exam: Exam, known: Mapping[str, str]) -> None:
    assert changed(tmp_path, exam, known, "grading.py", "\n# why\n") == set()
