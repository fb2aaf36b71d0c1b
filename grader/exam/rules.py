"""What must hold in exam.yaml beyond its schema."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement

from grader.exam.model import Services

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from grader.exam.diagnostics import Complaint, Sheet


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """A task as a section names it."""

    id: str
    points: float | None
    section: int
    place: tuple[Hashable, ...]
    present: bool
    """Whether there is a rubric file for it."""


def tasks(sheet: Sheet) -> tuple[TaskEntry, ...]:
    """Every task that exam.yaml names, each once."""
    found: dict[str, TaskEntry] = {}
    for entry in _entries(sheet):
        found.setdefault(entry.id, entry)
    return tuple(found.values())


def _entries(sheet: Sheet) -> Iterator[TaskEntry]:
    for number, section in enumerate(sheet.data["sections"]):
        for index, task in enumerate(section["tasks"]):
            name, points = (task, None) if isinstance(task, str) else (task["id"], task.get("points"))
            present = (Path(sheet.file).parent / f"{name}.yaml").is_file()
            yield TaskEntry(name, points, number, ("sections", number, "tasks", index), present)


def complaints(sheet: Sheet, directory: Path) -> list[Complaint]:
    """Duplicate names and ports, missing files and invalid requirements."""
    return [*_twice(sheet), *_files(sheet, directory), *_requirements(sheet), *_ports(sheet)]


def _twice(sheet: Sheet) -> Iterator[Complaint]:
    seen: set[str] = set()
    for entry in _entries(sheet):
        if entry.id in seen:
            yield sheet.complain(f"duplicate task {entry.id!r}", *entry.place)
        seen.add(entry.id)
    sections: set[str] = set()
    for number, section in enumerate(sheet.data["sections"]):
        if section["id"] in sections:
            yield sheet.complain(f"duplicate section {section['id']!r}", "sections", number, "id")
        sections.add(section["id"])


def _files(sheet: Sheet, directory: Path) -> Iterator[Complaint]:
    for path, file in sheet.data.get("data", {}).items():
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or str(pure) != path:
            yield sheet.complain("not a plain path inside a submission", "data", path)
        if not (directory / file).is_file():
            yield sheet.complain(f"there is no file {file}", "data", path)
    if "reference" in sheet.data and not (directory / sheet.data["reference"]).is_dir():
        yield sheet.complain(f"there is no folder {sheet.data['reference']}", "reference")
    if "text" in sheet.data and not (directory / sheet.data["text"]).is_file():
        yield sheet.complain(f"there is no file {sheet.data['text']}; write it, or delete this key", "text")
    yield from _corpus(sheet, directory)
    fallback = sheet.data.get("environment", {}).get("fallback")
    if fallback is not None and not (directory / fallback).is_file():
        yield sheet.complain(f"there is no file {fallback}", "environment", "fallback")


def _corpus(sheet: Sheet, directory: Path) -> Iterator[Complaint]:
    corpus = dict(sheet.data.get("corpus", {}))
    canary = corpus.pop("canary", None)
    for kind, folder in corpus.items():
        if not (directory / folder).is_dir():
            said = f"there is no folder {folder}; create it, or delete this key"
            yield sheet.complain(said, "corpus", kind)
    if canary is not None:
        kind, _, case = canary.partition("/")
        folders = [directory / folder for folder in corpus.values()]
        if not any(path.name == kind and (path / f"{case}.yaml").is_file() for path in folders):
            yield sheet.complain(f"there is no case {canary}; see `grader verify -v`", "corpus", "canary")


def _requirements(sheet: Sheet) -> Iterator[Complaint]:
    for name, entry in sheet.data.get("environment", {}).get("provides", {}).items():
        place = ("environment", "provides", name)
        yield from _requirement(sheet, entry["requirement"], (*place, "requirement"))
        for index, line in enumerate(entry.get("lines", ())):
            yield from _requirement(sheet, line["requirement"], (*place, "lines", index, "requirement"))


def _requirement(sheet: Sheet, text: str, place: tuple[Any, ...]) -> Iterator[Complaint]:
    try:
        Requirement(text)
    except InvalidRequirement as error:
        yield sheet.complain(f"not a requirement: {str(error).splitlines()[0]}", *place)


def _ports(sheet: Sheet) -> Iterator[Complaint]:
    given = sheet.data.get("services", {})
    services = Services(**given)
    if services.tracking_port == services.objects_port:
        place = ("services", "objects_port" if "objects_port" in given else "tracking_port")
        yield sheet.complain(f"two servers cannot have the port {services.objects_port}", *place)


def totals(sheet: Sheet, points: Mapping[str, float]) -> Iterator[Complaint]:
    """Compare every total in exam.yaml with the sum from the rubrics."""
    sums: dict[int, float] = {}
    for entry in tasks(sheet):
        have = points[entry.id]
        sums[entry.section] = sums.get(entry.section, 0) + have
        if entry.points is not None:
            place = (*entry.place, "points")
            yield from _sum(sheet, f"the criteria of task {entry.id}", have, entry.points, *place)
    both = {False: 0.0, True: 0.0}
    for number, section in enumerate(sheet.data["sections"]):
        have = sums.get(number, 0)
        both[section.get("bonus", False)] += have
        if "points" in section:
            what = f"the tasks of section {section['id']}"
            yield from _sum(sheet, what, have, section["points"], "sections", number, "points")
    yield from _sum(sheet, "the sections without bonus", both[False], sheet.data["points"], "points")
    if (mark := sheet.data["pass_mark"]) > (total := sheet.data["points"] + sheet.data.get("bonus", 0)):
        yield sheet.complain(f"nobody can have {mark:g} of {total:g} points: lower it", "pass_mark")
    if "bonus" in sheet.data or both[True]:
        yield from _sum(sheet, "the bonus sections", both[True], sheet.data.get("bonus", 0), "bonus")


def _sum(sheet: Sheet, what: str, have: float, stated: float, *place: Hashable) -> Iterator[Complaint]:
    if not math.isclose(have, stated, abs_tol=1e-9):
        yield sheet.complain(f"{what} add up to {have:g} points, not {stated:g}", *place)
