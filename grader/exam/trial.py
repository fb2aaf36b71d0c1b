"""An exam of one criterion, so that a check and its parameters can be tried before any rubric has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from grader.check import Check, Parameters, named_model, reference, unknown
from grader.errors import RubricError, UsageError
from grader.exam.loader import EXAM_FILE, examine
from grader.exam.schema import read_sheet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from grader.exam.model import Exam

TASK = "try"
_PLACE = "criteria[0].with"
_KEPT = ("worlds", "services")


def trial_exam(
    check: str, given: str, folder: Path, checks: Mapping[str, Check], *, exam: Path | None, task: str
) -> Exam:
    """An exam whose only criterion is decided by this check.

    A parameter that names a deliverable may be a path in the submission instead, and one that names a
    scenario may be the scenario itself.

    Args:
        given: the check's parameters, as YAML.
        folder: where the exam is written; an empty one.
        exam: an exam whose given data, worlds and packages are used.
        task: a task of that exam, whose scenarios and deliverables may be named; empty: none.

    Raises:
        UsageError: the check, the parameters or the exam cannot be used.
    """
    if check not in checks:
        raise UsageError(unknown("check", check, checks))
    rubric: dict[str, Any] = {"deliverables": {}, "scenarios": {}}
    if task:
        rubric |= _borrowed(exam, task)
    parameters = _declared(checks[check].parameters, _mapping(given), rubric)
    criterion = {"id": f"{TASK}.it", "points": 1, "title": check, "hint": check, "check": check}
    rubric = {key: value for key, value in rubric.items() if value}
    rubric |= {"task": TASK, "title": "Trial", "criteria": [{**criterion, "with": parameters}]}
    _write(folder / f"{TASK}.yaml", rubric)
    _write(folder / EXAM_FILE, _sheet(exam))
    examination = examine(folder, checks)
    if examination.exam is None:
        raise RubricError("\n".join(_said(each.path, each.message) for each in examination.errors))
    return examination.exam


def _said(path: str, message: str) -> str:
    return f"{path.replace(_PLACE, '--with') or '--with'}: {message}"


def _mapping(given: str) -> dict[str, Any]:
    try:
        data = yaml.safe_load(given) if given.strip() else {}
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise UsageError(f"--with is not valid YAML: {said}") from error
    if not isinstance(data, dict):
        raise UsageError(f"--with must be a mapping, such as '{{file: notes.txt}}', not {data!r}")
    return data


def _declared(model: type[Parameters], given: dict[str, Any], rubric: dict[str, Any]) -> dict[str, Any]:
    """The parameters, after what stands in them itself was declared under a name."""
    for name, about in model.model_fields.items():
        value = given.get(name)
        wanted = named_model(about.annotation)
        mark = reference(about)
        if wanted is not None and isinstance(value, dict) and wanted.section == "scenarios":
            fields = {key: entry for key, entry in value.items() if key != "kind"}
            fields = _declared(wanted, fields, rubric)
            rubric["scenarios"][TASK] = {"kind": value.get("kind", wanted.kind), **fields}
            given = {**given, name: TASK}
        elif mark is not None and mark.to == "deliverable" and isinstance(value, str) and value:
            own = f"{TASK}_{len(rubric['deliverables'])}"
            if value not in rubric["deliverables"]:
                rubric["deliverables"][own] = {"path": value}
                given = {**given, name: own}
    return given


def _borrowed(exam: Path | None, task: str) -> dict[str, Any]:
    """The deliverables and scenarios of a rubric."""
    if exam is None:
        raise UsageError(f"which exam has the task {task!r}? Say --exam DIR")
    path = exam / f"{task}.yaml"
    if not path.is_file():
        raise UsageError(f"no task {task!r} in {exam}: there is no file {path.name}")
    sheet, complaints = read_sheet(path, "rubric")
    if sheet is None or complaints:
        raise RubricError("\n".join(map(str, complaints)))
    return {key: dict(sheet.data[key]) for key in ("deliverables", "scenarios") if key in sheet.data}


def _sheet(exam: Path | None) -> dict[str, Any]:
    """exam.yaml for the one task, with what candidate code finds in the exam that is borrowed from."""
    own: dict[str, Any] = {
        "id": "trial",
        "title": "Trial",
        "version": "0",
        "points": 1,
        "pass_mark": 1,
        "sections": [{"id": TASK, "title": "Trial", "tasks": [TASK]}],
    }
    if exam is None:
        return own
    if not (exam / EXAM_FILE).is_file():
        raise UsageError(f"no exam in {exam}: it has no {EXAM_FILE}")
    sheet, complaints = read_sheet(exam / EXAM_FILE, "exam")
    if sheet is None or complaints:
        raise RubricError("\n".join(map(str, complaints)))
    data = sheet.data
    own |= {key: data[key] for key in _KEPT if key in data}
    folder = exam.resolve()
    own["data"] = {path: str(folder / file) for path, file in data.get("data", {}).items()}
    own["environment"] = dict(data.get("environment", {}))
    if "fallback" in own["environment"]:
        own["environment"]["fallback"] = str(folder / own["environment"]["fallback"])
    return own


def _write(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True), "utf-8")
