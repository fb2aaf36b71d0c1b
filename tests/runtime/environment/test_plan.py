from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from grader.documents import Problem
from grader.exam.model import EnvironmentSpec
from grader.runtime.environment.plan import Plan, exam_plan, imported, lock_plan
from tests.builders import make_submission

if TYPE_CHECKING:
    from pathlib import Path

PROVIDES: dict[str, dict[str, Any]] = {
    "fastapi": {"requirement": "fastapi"},
    "evidently": {
        "requirement": "evidently>=0.4",
        "lines": [
            {"imports": ["evidently.report", "evidently.metric_preset"], "requirement": "evidently<0.7"},
            {"imports": ["evidently.presets", "evidently.Report"], "requirement": "evidently>=0.7"},
        ],
    },
}


@pytest.fixture
def spec(tmp_path: Path) -> EnvironmentSpec:
    fallback = tmp_path / "fallback.txt"
    fallback.write_text("evidently==0.7.23\nfastapi==0.100.0\n")
    return EnvironmentSpec(python="3.11", lock="lock.txt", fallback=fallback, provides=PROVIDES)


def plan_of(root: Path, spec: EnvironmentSpec, files: dict[str, str | bytes]) -> Plan:
    plan = lock_plan(make_submission(root / "s", files), spec)
    assert isinstance(plan, Plan)
    return plan


def names(plan: Plan) -> list[str]:
    return [line.name for line in plan.lines]


def test_no_lock(tmp_path: Path, spec: EnvironmentSpec) -> None:
    assert lock_plan(make_submission(tmp_path / "s", {}), spec) is None


def test_a_deliverable_of_any_name_is_the_lock(tmp_path: Path, spec: EnvironmentSpec) -> None:
    files = {"lock.txt": "evidently==0.7.1\n", "locks/own.txt": "evidently==0.7.2\n"}
    submission = make_submission(tmp_path, files, deliverables={"pins": "locks/own.txt"})
    for ids, version in (((), "0.7.1"), (("pins",), "0.7.2"), (("missing", "pins"), "0.7.2")):
        plan = lock_plan(submission, replace(spec, lock_deliverables=ids))
        assert isinstance(plan, Plan)
        assert [str(line.requirement) for line in plan.lines] == [f"evidently=={version}"]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"", b"# nothing\n", b"-e .\n", b"?\n", b"-r lock.txt\n"]
)
def test_a_lock_of_nothing_is_a_problem(tmp_path: Path, spec: EnvironmentSpec, content: bytes) -> None:
    assert isinstance(lock_plan(make_submission(tmp_path / "s", {"lock.txt": content}), spec), Problem)


def test_lines_that_nobody_else_can_install_are_left_out_and_said(
    tmp_path: Path, spec: EnvironmentSpec
) -> None:
    text = "six==1.16.0\n-e file:///me/x\nx @ file:///me/x.whl\ny @ git+https://host/y\n??\n--index-url https://h/\n"
    plan = plan_of(tmp_path, spec, {"lock.txt": text})
    assert names(plan) == ["six"]
    assert [message.partition(" ")[0] for message in plan.left_out] == [
        "lock.txt:2",
        "lock.txt:3",
        "lock.txt:4",
        "lock.txt:5",
    ]


def test_the_project_itself_is_passed_over(tmp_path: Path, spec: EnvironmentSpec) -> None:
    plan = plan_of(tmp_path, spec, {"lock.txt": "-e .\nsix==1.16.0\n.[dev]\n"})
    assert (names(plan), plan.left_out) == (["six"], ())


def test_included_files_belong_to_it_and_only_those_of_the_submission(
    tmp_path: Path, spec: EnvironmentSpec
) -> None:
    (tmp_path / "secret.txt").write_text("secret==1\n")
    files: dict[str, str | bytes] = {
        "lock.txt": "-r locks/a.txt\n-r ../secret.txt\n-r /etc/passwd\n-r none.txt\n",
        "locks/a.txt": "-r ../b.txt\n-r a.txt\nsix==1.16.0\n",
        "b.txt": "attrs==24.1.0\n",
    }
    plan = plan_of(tmp_path, spec, files)
    assert names(plan) == ["attrs", "six"]
    assert len(plan.left_out) == 4


@pytest.mark.parametrize(
    ("code", "evidently"),
    [
        ("import os", "evidently>=0.4"),
        ("from evidently.report import Report", "evidently<0.7"),
        ("import evidently.metric_preset", "evidently<0.7"),
        ("from evidently import Report", "evidently>=0.7"),
        ("from evidently.presets import DataDriftPreset", "evidently>=0.7"),
        ("import evidently.reporting", "evidently>=0.4"),
        ("not python at all", "evidently>=0.4"),
    ],
)
def test_what_is_added_follows_the_imports(
    tmp_path: Path, spec: EnvironmentSpec, code: str, evidently: str
) -> None:
    plan = plan_of(tmp_path, spec, {"lock.txt": "six==1.16.0\n", "src/drift.py": code})
    assert plan.additions == ("fastapi", evidently)


def test_what_the_lock_has_is_not_added(tmp_path: Path, spec: EnvironmentSpec) -> None:
    plan = plan_of(tmp_path, spec, {"lock.txt": "FastAPI==0.90.0\nevidently==0.6.0\n"})
    assert plan.additions == ()


def test_the_exams_own_lock_bends_to_the_imports(tmp_path: Path, spec: EnvironmentSpec) -> None:
    plain = exam_plan(make_submission(tmp_path / "s", {}), spec)
    assert (names(plain), plain.additions) == (["evidently", "fastapi"], ())
    old = exam_plan(make_submission(tmp_path / "o", {"a.py": "import evidently.report"}), spec)
    assert (names(old), old.additions) == (["fastapi"], ("evidently<0.7",))


def test_equal_plans_have_equal_inputs(tmp_path: Path, spec: EnvironmentSpec) -> None:
    one = plan_of(tmp_path / "1", spec, {"lock.txt": "six==1.16.0 # why\nattrs==24.1.0\n"})
    two = plan_of(tmp_path / "2", spec, {"lock.txt": "attrs==24.1.0\n\nsix == 1.16.0\n"})
    other = plan_of(tmp_path / "3", spec, {"lock.txt": "attrs==24.1.0\nsix==1.16.0 --hash=sha256:00\n"})
    python = ["3.11.7", "/usr/bin/python"]
    assert one.inputs(python, {}) == two.inputs(python, {})
    assert one.inputs(python, {}) not in (
        other.inputs(python, {}),
        one.inputs(["3.11.8", python[1]], {}),
        one.inputs([python[0], "/opt/python"], {}),
        one.inputs(python, {"UV_INDEX": "digest"}),
    )


def test_imports(tmp_path: Path) -> None:
    code = "import a.b as c\nfrom d import e\nfrom . import f\n"
    assert imported(make_submission(tmp_path, {"x.py": code})) == {"a.b", "d", "d.e"}
