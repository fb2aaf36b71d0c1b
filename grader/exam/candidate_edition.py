"""The grader as candidates get it: one exam, and nothing that answers it.

Left out are the reference solution (and the exam's own lock file, which may be the reference's), the corpus,
what rubrics note for authors, and all comments. Seeded data derive from a secret of each machine, so what is
drawn on a candidate's machine says nothing of what is drawn where marks are given.
"""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from grader import __version__
from grader.errors import UsageError
from grader.exam.bundled import PACKAGE
from grader.exam.loader import EXAM_FILE, load_exam
from grader.exam.schema import read_sheet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from grader.check import Check
    from grader.exam.model import Exam

DISTRIBUTION = "mlops-grader"
_LEFT_OUT = ("_data", "__pycache__")
_AUTHORS_ONLY = ("reference", "corpus")
_PROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{name}"
description = "Practice for: {title}"
readme = "README.md"
version = "{version}"
requires-python = ">=3.11"
dependencies = [
{dependencies}]

[project.scripts]
grader = "grader.cli:main"

[tool.hatch.build]
ignore-vcs = true

[tool.hatch.build.targets.wheel]
packages = ["grader"]
"""
_README = """\
# Practice for: {title}

    pip install .
    grader init my-answers      # the exam's text and the given data
    grader score my-answers     # what is earned so far, and why the rest is not
    grader score --static .     # the same without running anything
    grader rubric show          # what is graded

This edition grades as the examiners' does, but holds no solution. Data that are drawn at random are
others than in the exam. A practice grade is no mark.
"""


def write_candidate_edition(exam: Exam, folder: Path, checks: Mapping[str, Check]) -> int:
    """Write a project that installs the grader with this exam as its only one.

    Args:
        folder: created if it does not exist, and empty otherwise.

    Returns:
        How many files were written.

    Raises:
        UsageError: the folder is not empty, or cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} is not an empty folder, so nothing was written; choose a new one")
        shutil.copytree(PACKAGE, folder / "grader", ignore=shutil.ignore_patterns(*_LEFT_OUT))
        _write_exam(exam, folder / "grader" / "_data" / "rubrics")
        (folder / "README.md").write_text(_README.format(title=exam.title), "utf-8")
        (folder / "pyproject.toml").write_text(_project(exam), "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    load_exam(folder / "grader" / "_data" / "rubrics", checks)
    return sum(path.is_file() for path in folder.rglob("*"))


def _project(exam: Exam) -> str:
    """The same packages as this grader's, without those for developers."""
    required = importlib.metadata.requires(DISTRIBUTION) or []
    lines = [f'    "{each}",\n' for each in _quoted(required)]
    return _PROJECT.format(
        name=f"{exam.id}-practice",
        title=exam.title.replace("\\", "").replace('"', "'"),
        version=__version__,
        dependencies="".join(lines),
    )


def _quoted(requirements: list[str]) -> Iterator[str]:
    for each in requirements:
        if "extra ==" not in each:
            yield each.replace('"', "'")


def _write_exam(exam: Exam, folder: Path) -> None:
    folder.mkdir(parents=True)
    for task in exam.tasks:
        rubric = _data(exam.directory / f"{task.id}.yaml", "rubric")
        rubric.pop("notes", None)
        _dump(folder / f"{task.id}.yaml", rubric)
    data = _data(exam.directory / EXAM_FILE, "exam")
    for key in _AUTHORS_ONLY:
        data.pop(key, None)
    if exam.text is not None:
        data["text"] = "exam.md"
        shutil.copyfile(exam.text, folder / "exam.md")
    if exam.data:
        data["data"] = {path: f"given/{path}" for path in exam.data}
    for path, file in exam.data.items():
        (folder / "given" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / "given" / path)
    if "environment" in data:
        data["environment"] = {key: each for key, each in data["environment"].items() if key != "fallback"}
    _dump(folder / EXAM_FILE, data)


def _data(path: Path, schema: str) -> dict[str, Any]:
    sheet, _ = read_sheet(path, schema)
    if sheet is None:
        raise UsageError(f"{path} cannot be read any more")
    return dict(sheet.data)


def _dump(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True), "utf-8")
