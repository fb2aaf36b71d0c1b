"""The rooms of the house: imports go down, and nowhere round in a circle, type-only ones included."""

from __future__ import annotations

import graphlib
from functools import cache

import grimp

LAYERS = (
    ("__main__",),
    ("cli",),
    ("commands",),
    ("web",),
    ("cohort",),
    ("corpus", "github"),
    ("session",),
    ("error_handler",),
    ("report",),
    ("grading", "reference_comparison", "places"),
    ("checks",),
    ("context",),
    ("runtime",),
    ("readers",),
    ("submission",),
    ("score",),
    ("exam",),
    ("check",),
    ("documents",),
    ("tools",),
    ("docker_engine",),
    ("command",),
    ("results",),
    ("timeline", "schemas", "errors", "files", "notebooks"),
)
"""From top to bottom; rooms of one layer know nothing of each other."""
INSIDE = ("grader.runtime.inside.", "grader.runtime.probes.", "grader.runtime.warm.inside.")
DOORS = ("grader.runtime.warm",)
"""Packages of which others know nothing but the package itself."""
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}


@cache
def imports() -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports."""
    graph = grimp.build_graph("grader", cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_room_has_a_layer() -> None:
    assert {room(module) for module in imports()} - {""} == set(RANK)


def test_imports_go_down() -> None:
    upward = {
        f"{importer} -> {imported}"
        for importer, found in imports().items()
        for imported in found
        if room(imported)
        and room(importer) != room(imported)
        and RANK[room(importer)] >= RANK[room(imported)]
    }
    assert upward == set()


def test_there_is_no_circle() -> None:
    graphlib.TopologicalSorter(imports()).prepare()


def test_what_runs_inside_imports_nothing_of_ours() -> None:
    """Scripts for the candidate's interpreter: this package is not to be had there."""
    inside = {module: found for module, found in imports().items() if module.startswith(INSIDE) and found}
    assert inside == {}


def test_some_packages_have_one_door() -> None:
    past = {
        f"{importer} -> {imported}"
        for importer, found in imports().items()
        for imported in found
        for door in DOORS
        if imported.startswith(f"{door}.") and not f"{importer}.".startswith(f"{door}.")
    }
    assert past == set()
