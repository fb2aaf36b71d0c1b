"""The cases that prove a rubric: known defects and their loss, variants that must lose nothing, people.

A case is a small YAML file below the exam's folder of defects or of variants, in a folder named after the
task that it is about: `defects/4.2/two-replicas.yaml`. Its schema is `schemas/case.schema.json`.

A person is a whole submission with the flaws of a real one, beside what they cost:
`people/NAME/submission/` and `people/NAME/losses.yaml`, whose schema is `schemas/person.schema.json`.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from grader.check import unknown
from grader.errors import RubricError
from grader.exam.diagnostics import Complaint, Sheet
from grader.exam.schema import read_sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from grader.exam.model import Exam

_LOSSES = "losses.yaml"
_SUBMISSION = "submission"
_PATHS = ("file", "delete", "move", "to")
"""Keys of an edit that name a place in the submission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A submission made on purpose, and what it must lose."""

    name: str
    """`defects/4.2/two-replicas`, `submissions/poetry`, `people/beginner`, or one that needs no file."""
    kind: str
    """`defect`, `variant`, `whole` or `person`."""
    why: str = ""
    file: str = ""
    base: Path | None = None
    """The folder that is edited; None: an empty one."""
    edits: tuple[Mapping[str, str], ...] = ()
    loses: Mapping[str, float] = field(default_factory=dict)
    """Criterion -> points."""
    tasks: tuple[str, ...] = ()
    """Tasks that the edits may change, besides those that read the edited files."""
    everything: bool = False
    """Whether it must lose every point there is."""

    @property
    def touched(self) -> tuple[str, ...]:
        """Paths that differ from the base's."""
        return tuple(path for edit in self.edits for key in _PATHS if (path := edit.get(key)))


def load_cases(exam: Exam, only: str = "") -> tuple[Case, ...]:
    """The cases of an exam's corpus, in order of name.

    Args:
        only: a task (`4.2`), a glob of names, or a piece of one; empty: all.

    Raises:
        RubricError: a case is invalid; the message is all complaints, one a line.
    """
    complaints: list[Complaint] = []
    cases = [
        case
        for kind, folder in (("defect", exam.corpus.defects), ("variant", exam.corpus.variants))
        if folder is not None
        for path in sorted(folder.rglob("*.yaml"))
        if chosen(name := _name(folder, path), only)
        if (case := _read(path, name, kind, exam, complaints)) is not None
    ]
    people = tuple(_people(exam, only, complaints))
    if complaints:
        raise RubricError("\n".join(map(str, sorted(complaints))))
    return (*cases, *_whole(exam, only), *people)


def chosen(name: str, only: str) -> bool:
    """Whether `--only` means a case."""
    if not only:
        return True
    folders = name.split("/")[:-1]
    return only in folders or fnmatch(name, only) or fnmatch(name, f"*{only}*")


def _name(folder: Path, path: Path) -> str:
    return f"{folder.name}/{path.relative_to(folder).with_suffix('').as_posix()}"


def _whole(exam: Exam, only: str) -> Iterator[Case]:
    folder = exam.corpus.submissions
    for path in sorted(folder.iterdir()) if folder is not None and folder.is_dir() else ():
        if path.is_dir() and chosen(name := f"{folder.name}/{path.name}" if folder else "", only):
            yield Case(name=name, kind="whole", base=path, file=str(path))


def _people(exam: Exam, only: str, complaints: list[Complaint]) -> Iterator[Case]:
    folder = exam.corpus.people
    for path in sorted(folder.iterdir()) if folder is not None and folder.is_dir() else ():
        if not path.is_dir() or not chosen(name := f"{folder.name}/{path.name}" if folder else "", only):
            continue
        sheet, wrong = read_sheet(path / _LOSSES, "person")
        if sheet is not None and not wrong:
            wrong = list(_person_rules(sheet, path, exam))
        complaints += wrong
        if sheet is not None and not wrong:
            yield Case(
                name=name,
                kind="person",
                why=" ".join(sheet.data["who"].split()),
                file=sheet.file,
                base=path / _SUBMISSION,
                loses={criterion: loss["points"] for criterion, loss in sheet.data["loses"].items()},
            )


def _person_rules(sheet: Sheet, path: Path, exam: Exam) -> Iterator[Complaint]:
    losses = {criterion: loss["points"] for criterion, loss in sheet.data["loses"].items()}
    wrong = list(_loss_rules(sheet, losses, exam))
    yield from wrong
    everything = sum(criterion.points for task in exam.tasks for criterion in task.criteria)
    # Decimal sums of tenths and twentieths: rounded, as results are.
    total = round(everything - sum(losses.values()), 4)
    if not wrong and sheet.data["total"] != total:
        yield sheet.complain(f"what it loses leaves {total:g} points", "total")
    if not (path / _SUBMISSION).is_dir():
        yield sheet.complain(f"there is no folder {_SUBMISSION} beside it")


def _loss_rules(sheet: Sheet, losses: Mapping[str, float], exam: Exam) -> Iterator[Complaint]:
    criteria = {criterion.id: criterion for task in exam.tasks for criterion in task.criteria}
    for name, points in losses.items():
        if name not in criteria:
            yield sheet.complain(unknown("criterion", name, criteria), "loses", name)
        elif points > criteria[name].points:
            yield sheet.complain(f"it has only {criteria[name].points:g} points", "loses", name)


def _read(path: Path, name: str, kind: str, exam: Exam, complaints: list[Complaint]) -> Case | None:
    sheet, wrong = read_sheet(path, "case")
    if sheet is not None and not wrong:
        wrong = list(_rules(sheet, kind, exam))
    complaints += wrong
    return None if wrong or sheet is None else _case(sheet.data, path, name, kind, exam)


def _rules(sheet: Sheet, kind: str, exam: Exam) -> Iterator[Complaint]:
    loses = sheet.data.get("loses", {})
    if bool(loses) != (kind == "defect"):
        yield sheet.complain("a defect must say what it loses, and a variant must lose nothing", "loses")
    yield from _loss_rules(sheet, loses, exam)
    tasks = [task.id for task in exam.tasks]
    for index, name in enumerate(sheet.data.get("tasks", ())):
        if name not in tasks:
            yield sheet.complain(unknown("task", name, tasks), "tasks", index)
    if (base := sheet.data.get("base")) is not None and not _base(base, exam).is_dir():
        yield sheet.complain(f"there is no whole submission {base}", "base")
    for index, edit in enumerate(sheet.data["edits"]):
        yield from (
            sheet.complain("the path leaves the submission", "edits", index, key)
            for key in _PATHS
            if (path := PurePosixPath(edit.get(key, "."))).is_absolute() or ".." in path.parts
        )


def _base(name: str, exam: Exam) -> Path:
    return (exam.corpus.submissions or exam.directory) / name


def _case(data: Mapping[str, Any], path: Path, name: str, kind: str, exam: Exam) -> Case:
    known = {task.id for task in exam.tasks}
    own = [folder for folder in name.split("/") if folder in known]
    return Case(
        name=name,
        kind=kind,
        why=" ".join(data["why"].split()),
        file=str(path),
        base=_base(data["base"], exam) if "base" in data else exam.reference,
        edits=tuple(data["edits"]),
        loses=data.get("loses", {}),
        tasks=tuple(dict.fromkeys((*own, *data.get("tasks", ())))),
    )


def build(case: Case, into: Path) -> None:
    """Write the case's submission to `into`, a folder that does not exist yet.

    Raises:
        RubricError: an edit does not fit the base.
    """
    if case.base is None:
        into.mkdir(parents=True)
    else:
        shutil.copytree(case.base, into, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for number, edit in enumerate(case.edits):
        try:
            _APPLY[next(key for key in _APPLY if key in edit)](into, edit)
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise RubricError(f"{case.file}: edits[{number}]: {error}") from error


def _replace(root: Path, edit: Mapping[str, str]) -> None:
    path = root / edit["file"]
    text = path.read_text("utf-8")
    if (count := text.count(edit["replace"])) != 1:
        raise ValueError(f"{edit['replace']!r} occurs {count} times in {edit['file']}, not once")
    path.write_text(text.replace(edit["replace"], edit["by"]), "utf-8")


def _write(root: Path, edit: Mapping[str, str]) -> None:
    path = root / edit["file"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(edit["write"], "utf-8")


def _append(root: Path, edit: Mapping[str, str]) -> None:
    with (root / edit["file"]).open("a", encoding="utf-8") as file:
        file.write(edit["append"])


def _delete(root: Path, edit: Mapping[str, str]) -> None:
    path = root / edit["delete"]
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _move(root: Path, edit: Mapping[str, str]) -> None:
    target = root / edit["to"]
    target.parent.mkdir(parents=True, exist_ok=True)
    (root / edit["move"]).rename(target)


_APPLY: Mapping[str, Callable[[Path, Mapping[str, str]], None]] = {
    "replace": _replace,
    "write": _write,
    "append": _append,
    "delete": _delete,
    "move": _move,
}
