"""What must hold in rubrics beyond their schema and their checks' parameters: sums, names, needs."""

from __future__ import annotations

import math
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.check import unknown
from grader.exam.diagnostics import Complaint, Sheet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from grader.check import Check

Place = tuple[Any, ...]


def complaints(rubrics: Mapping[str, Sheet], checks: Mapping[str, Check], *, whole: bool) -> list[Complaint]:
    """Everything wrong within each rubric and between them.

    Args:
        whole: all tasks' rubrics are here, so that a name that none of them has does not exist.
    """
    found: list[Complaint] = []
    for task, sheet in rubrics.items():
        found += _names(task, sheet)
        found += _sums(sheet)
        found += _files(sheet)
        found += _decided(sheet, checks)
    found += _twice(rubrics)
    if whole:
        found += _needs(rubrics)
    return found


def criteria(sheet: Sheet) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Each criterion with its place."""
    for index, criterion in enumerate(sheet.data["criteria"]):
        yield ("criteria", index), criterion


def parts(place: Place, criterion: dict[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Each part of a criterion, or the criterion where it has none, with its place."""
    if "parts" not in criterion:
        yield place, criterion
    for index, part in enumerate(criterion.get("parts", ())):
        yield (*place, "parts", index), part


def all_parts(sheet: Sheet) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Each part of each criterion."""
    for place, criterion in criteria(sheet):
        yield from parts(place, criterion)


def _names(task: str, sheet: Sheet) -> Iterator[Complaint]:
    if sheet.data["task"] != task:
        named = f"{Path(sheet.file).name} is the rubric of task {task!r}, not of {sheet.data['task']!r}"
        yield sheet.complain(named, "task")
    for place, criterion in criteria(sheet):
        if not criterion["id"].startswith(f"{task}."):
            yield sheet.complain(f"the id must begin with {task}.", *place, "id")
        if ("check" in criterion) == ("parts" in criterion):
            yield sheet.complain("a criterion has either a check or parts", *place)
        if "with" in criterion and "parts" in criterion:
            yield sheet.complain("a criterion with parts has no parameters; its parts do", *place, "with")
        seen: set[str] = set()
        for part_place, part in parts(place, criterion):
            if part["id"] in seen:
                yield sheet.complain(f"duplicate part {part['id']!r}", *part_place, "id")
            seen.add(part["id"])


def _twice(rubrics: Mapping[str, Sheet]) -> Iterator[Complaint]:
    seen: dict[tuple[str, str], str] = {}
    for sheet in rubrics.values():
        named = [("criterion", criterion["id"], (*place, "id")) for place, criterion in criteria(sheet)]
        names = sheet.data.get("deliverables", {})
        named += [("deliverable", name, ("deliverables", name)) for name in names]
        for kind, name, place in named:
            if (kind, name) in seen:
                yield sheet.complain(f"duplicate {kind} {name!r} (also in {seen[kind, name]})", *place)
            seen.setdefault((kind, name), Path(sheet.file).name)


def _sums(sheet: Sheet) -> Iterator[Complaint]:
    for place, criterion in criteria(sheet):
        if "parts" in criterion:
            have = sum(part["points"] for part in criterion["parts"])
            if not math.isclose(have, criterion["points"], abs_tol=1e-9):
                said = f"the parts add up to {have:g} points, not {criterion['points']:g}"
                yield sheet.complain(said, *place, "points")


def _files(sheet: Sheet) -> Iterator[Complaint]:
    for name, deliverable in sheet.data.get("deliverables", {}).items():
        if not deliverable.keys() & {"path", "accept", "calls"}:
            yield sheet.complain("one of path, accept or calls is required", "deliverables", name)
        if deliverable.keys() & {"unless", "prefer"} and "calls" not in deliverable:
            yield sheet.complain("unless and prefer require calls", "deliverables", name)


def _decided(sheet: Sheet, checks: Mapping[str, Check]) -> Iterator[Complaint]:
    for place, part in all_parts(sheet):
        if "check" in part and part["check"] not in checks:
            yield sheet.complain(unknown("check", part["check"], checks), *place, "check")


def _needs(rubrics: Mapping[str, Sheet]) -> Iterator[Complaint]:
    """Needs that name nothing, and needs that form a cycle."""
    graph: dict[str, list[str]] = {}
    stated: list[tuple[Sheet, Place, str]] = []
    for sheet in rubrics.values():
        for place, criterion in criteria(sheet):
            own = _nodes(criterion)
            graph[criterion["id"]] = own
            graph.update((node, list(criterion.get("needs", ()))) for node in own)
            stated += _listed(sheet, place, criterion.get("needs", ()))
            for part_place, part in parts(place, criterion) if "parts" in criterion else ():
                needs = [full(criterion["id"], need, own) for need in part.get("needs", ())]
                graph[f"{criterion['id']}/{part['id']}"] += needs
                stated += _listed(sheet, part_place, needs)
    for sheet, place, need in stated:
        if need not in graph:
            yield sheet.complain(unknown("criterion or part", need, graph), *place)
    if circle := _circle(graph):
        sheet, place = next((sheet, place) for sheet, place, need in stated if need in circle)
        shown = " -> ".join(node for node in circle if not node.endswith("/"))
        yield sheet.complain(f"needs form a cycle: {shown}", *place)


def _nodes(criterion: dict[str, Any]) -> list[str]:
    return [f"{criterion['id']}/{part['id']}" for part in criterion.get("parts", [{"id": ""}])]


def _listed(sheet: Sheet, place: Place, needs: Any) -> list[tuple[Sheet, Place, str]]:
    return [(sheet, (*place, "needs", index), need) for index, need in enumerate(needs)]


def full(criterion: str, need: str, own: list[str]) -> str:
    """A need as the whole exam knows it: a bare part id is a part of the same criterion."""
    return f"{criterion}/{need}" if f"{criterion}/{need}" in own else need


def _circle(graph: Mapping[str, list[str]]) -> list[str]:
    """Some cycle of needs, with the same node first and last; empty if there is none."""
    # TopologicalSorter reports a cycle from each node to one that needs it.
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle[::-1]
    return []
