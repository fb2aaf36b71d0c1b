"""From a folder with exam.yaml and its rubrics to an `Exam`, or to everything that is wrong with them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.errors import RubricError, UsageError
from grader.exam import rubric_rules
from grader.exam import rules as exam_rules
from grader.exam.diagnostics import Complaint, Sheet
from grader.exam.model import (
    PYTHON,
    Corpus,
    Criterion,
    Deliverable,
    EnvironmentSpec,
    Exam,
    Part,
    Section,
    Services,
    Task,
)
from grader.exam.parameters import Place, Readings, needed_deliverables, read_parameters
from grader.exam.schema import read_sheet

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from grader.check import Check, Parameters

EXAM_FILE = "exam.yaml"


@dataclass(frozen=True, slots=True)
class Examination:
    """What reading an exam came to: an exam where nothing is wrong, and all there is to complain of."""

    exam: Exam | None
    complaints: tuple[Complaint, ...]

    @property
    def errors(self) -> tuple[Complaint, ...]:
        """The complaints that keep the exam from being used."""
        return tuple(complaint for complaint in self.complaints if not complaint.warning)


def load_exam(directory: Path, checks: Mapping[str, Check]) -> Exam:
    """The exam in a folder.

    Raises:
        UsageError: there is no exam.yaml.
        RubricError: something is wrong with the exam's files; the message is all complaints, one a line.
    """
    examination = examine(directory, checks)
    if examination.exam is None:
        raise RubricError("\n".join(map(str, examination.errors)))
    return examination.exam


def examine(directory: Path, checks: Mapping[str, Check]) -> Examination:
    """Read, validate and build; nothing is built from files that have an error.

    Raises:
        UsageError: there is no exam.yaml.
    """
    path = directory / EXAM_FILE
    if not path.is_file():
        raise UsageError(f"no exam in {directory}: it has no {EXAM_FILE}")
    sheet, complaints = read_sheet(path, "exam")
    if sheet is None or complaints:
        return Examination(None, tuple(complaints))
    complaints += exam_rules.complaints(sheet, directory)
    tasks = exam_rules.tasks(sheet)
    complaints += _stray_files(sheet, directory, tasks)
    rubrics = {}
    for task in tasks:
        rubric, found = read_sheet(directory / f"{task.id}.yaml", "rubric") if task.present else (None, [])
        complaints += found
        if rubric is not None and not found:
            rubrics[task.id] = rubric
    whole = len(rubrics) == len(tasks)
    complaints += rubric_rules.complaints(rubrics, checks, whole=whole)
    readings = read_parameters(sheet, rubrics, checks, whole=whole)
    complaints += readings.complaints
    if whole:
        complaints += exam_rules.totals(sheet, {task: _points(rubric) for task, rubric in rubrics.items()})
    order = tuple(sorted(dict.fromkeys(complaints)))
    exam = None
    if all(complaint.warning for complaint in order):
        exam = _build_exam(sheet, rubrics, readings, directory)
    return Examination(exam, order)


def _stray_files(sheet: Sheet, directory: Path, tasks: Sequence[exam_rules.TaskEntry]) -> Iterator[Complaint]:
    named = {f"{task.id}.yaml" for task in tasks} | {EXAM_FILE}
    for task in tasks:
        if not task.present:
            yield sheet.complain(f"there is no rubric file {task.id}.yaml", *task.place)
    for path in sorted((*directory.glob("*.yaml"), *directory.glob("*.yml"))):
        if path.name not in named:
            yield Complaint(file=str(path), message=f"no section of {EXAM_FILE} names this task")


def _points(rubric: Sheet) -> float:
    return float(sum(criterion["points"] for criterion in rubric.data["criteria"]))


def _build_exam(sheet: Sheet, rubrics: Mapping[str, Sheet], readings: Readings, directory: Path) -> Exam:
    data: dict[str, Any] = sheet.data
    given = {path: directory / file for path, file in data.get("data", {}).items()}
    sections = tuple(
        Section(
            id=section["id"],
            title=section["title"],
            bonus=section.get("bonus", False),
            tasks=tuple(
                _build_task(rubrics[task].data, readings.parameters)
                for entry in section["tasks"]
                for task in (entry if isinstance(entry, str) else entry["id"],)
            ),
        )
        for section in data["sections"]
    )
    return Exam(
        id=data["id"],
        title=data["title"],
        version=data["version"],
        digest=_digest((sheet, *rubrics.values()), given),
        directory=directory,
        points=data["points"],
        pass_mark=data["pass_mark"],
        sections=sections,
        data=given,
        reference=directory / data["reference"] if "reference" in data else None,
        environment=_environment(data.get("environment", {}), sections, directory),
        services=Services(**data.get("services", {})),
        text=directory / data["text"] if "text" in data else None,
        corpus=_corpus(data.get("corpus", {}), directory),
    )


def _environment(data: Mapping[str, Any], sections: Sequence[Section], directory: Path) -> EnvironmentSpec:
    lock = data.get("lock", "")
    return EnvironmentSpec(
        python=data.get("python", PYTHON),
        lock=lock,
        lock_deliverables=tuple(
            deliverable.id
            for section in sections
            for task in section.tasks
            for deliverable in task.deliverables
            if lock and deliverable.path == lock
        ),
        fallback=directory / data["fallback"] if "fallback" in data else None,
        provides=data.get("provides", {}),
        imports=tuple(data.get("imports", ())),
        preload=tuple(data.get("preload", ())),
        programs=tuple(data.get("programs", ())),
    )


def _corpus(data: Mapping[str, str], directory: Path) -> Corpus:
    folders = {kind: directory / folder for kind, folder in data.items() if kind != "canary"}
    return Corpus(**folders, canary=data.get("canary", ""))


def _digest(sheets: Sequence[Sheet], given: Mapping[str, Path]) -> str:
    """Of what the files say: comments, layout and the folder they stand in do not count."""
    texts = {
        Path(sheet.file).name: json.dumps(sheet.data, sort_keys=True, ensure_ascii=False, default=str)
        for sheet in sheets
    }
    whole = hashlib.sha256()
    for name, content in sorted(texts.items()):
        whole.update(f"{name}\0{hashlib.sha256(content.encode()).hexdigest()}\n".encode())
    for name, path in sorted(given.items()):
        whole.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _build_task(data: Mapping[str, Any], parameters: Mapping[tuple[str, Place], Parameters]) -> Task:
    named = data.get("deliverables", {})
    return Task(
        id=data["task"],
        title=data["title"],
        notes=data.get("notes", ""),
        reads=tuple(data.get("reads", ())),
        deliverables=tuple(
            Deliverable(
                id=name,
                path=entry.get("path", ""),
                **{key: tuple(entry[key]) for key in ("accept", "calls", "unless", "prefer") if key in entry},
            )
            for name, entry in named.items()
        ),
        criteria=tuple(
            _build_criterion(
                criterion,
                [
                    parameters[data["task"], place]
                    for place, _ in rubric_rules.parts(("criteria", number), criterion)
                ],
                named,
            )
            for number, criterion in enumerate(data["criteria"])
        ),
    )


def _build_criterion(
    data: Mapping[str, Any], parameters: Sequence[Parameters], deliverables: Collection[str]
) -> Criterion:
    whole = "parts" not in data
    parts = [{**data, "id": "", "needs": ()}] if whole else data["parts"]
    siblings = {part["id"] for part in parts}
    needed = dict.fromkeys(
        name for each in parameters for name in needed_deliverables(type(each), dict(each))
    )
    return Criterion(
        id=data["id"],
        title=data["title"],
        points=data["points"],
        hint=" ".join(data["hint"].split()),
        needs=tuple(data.get("needs", ())),
        files=tuple(name for name in needed if name in deliverables),
        parts=tuple(
            _build_part(data["id"], part, each, siblings)
            for part, each in zip(parts, parameters, strict=True)
        ),
    )


def _build_part(criterion: str, data: Mapping[str, Any], parameters: Parameters, siblings: set[str]) -> Part:
    needs = data.get("needs", ())
    return Part(
        id=data["id"],
        title=data["title"],
        points=data["points"],
        check=data["check"],
        parameters={name: getattr(parameters, name) for name in type(parameters).model_fields},
        needs=tuple(f"{criterion}/{need}" if need in siblings else need for need in needs),
    )
