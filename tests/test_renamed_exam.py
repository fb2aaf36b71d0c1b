"""No Python knows the bundled exam's names: with all of them changed, it is the same exam."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import grader
from grader.checks import ALL
from grader.exam.lint import lint
from grader.session import Options, score_submission
from tests.editing import losses, still_open
from tests.renamed_exam import in_other_words, names_in, renamed_exam

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(grader.__file__).parent
ENGLISH = frozenset({"prediction", "predictions", "healthy"})
"""Words of findings, and of the parameters of checks, that happen to be names as well."""
OTHERS = {
    ("checks/dockerfile/image.py", "src"),  # a folder of Debian's, and an option of docker's
    ("cohort/sources/links.py", "src"),  # what pages of git hosts have before a path in a repository
    ("readers/tasks.py", "src"),  # the folder in which Python projects keep their packages
    # Directives of a content security policy.
    *((f"{name}.py", "src") for name in ("report/html/page", "web/application", "web/copy", "web/security")),
    ("runtime/probes/model_files.py", "model.pkl"),  # MLflow's own name for a pickled model
    ("runtime/services/mlflow.py", "/health"),  # an endpoint of MLflow's
    ("runtime/services/mlflow_server.py", "/health"),
}


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    return renamed_exam(tmp_path)


def test_it_is_an_exam_without_any_of_the_names(exam: Path) -> None:
    assert lint(exam, ALL) == ()
    files = [
        path
        for path in exam.parent.rglob("*")
        if path.is_file() and path.name != in_other_words("requirements-lock.txt")
    ]
    left = {name for path in files for name in names_in(f"{path.name} {path.read_text('utf-8')}")}
    assert left - ENGLISH == set()


def _strings(tree: ast.Module) -> Iterator[str]:
    """Texts, less docstrings."""
    described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.value


def test_no_python_says_a_name() -> None:
    found = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in PACKAGE.rglob("*.py")
        for text in _strings(ast.parse(path.read_text("utf-8")))
        for name in names_in(text)
    }
    assert {pair for pair in found if pair[1] not in ENGLISH} == OTHERS


def test_no_python_asks_for_a_deliverable_by_its_id() -> None:
    asked = {
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args
        if node.func.attr == "deliverable"
        or (
            node.func.attr == "get"
            and ast.unparse(node.func.value).endswith(("deliverables", "alternatives"))
        )
        if isinstance(node.args[0], ast.Constant)
    }
    assert asked == set()


@pytest.mark.slow
def test_its_reference_earns_every_point(exam: Path) -> None:
    graded = score_submission(str(exam.parent / "reference_solution"), Options(exam=exam))
    assert (losses(graded), still_open(graded), graded.score.earned) == ({}, {}, 110)
