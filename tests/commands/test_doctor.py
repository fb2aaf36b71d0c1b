"""Which bounds `grader doctor` says are in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from grader.commands import doctor
from grader.commands.doctor import DISK, MEASURED, bounds, doctor_command, isolation_command
from grader.errors import ToolMissing, UsageError
from grader.runtime.sandbox import control_groups
from grader.runtime.sandbox import open as open_
from grader.runtime.sandbox.control_groups import Groups
from grader.tools import Tools

if TYPE_CHECKING:
    from pathlib import Path

ENGINES = "control group of the engine"


class Machine(Tools):
    """A machine with some of the tools."""

    def __init__(self, *found: str) -> None:
        super().__init__()
        self._found = found

    def lacks(self, name: str) -> str:
        return "" if name in self._found else "missing"


def test_without_tools_there_is_no_isolation_but_none() -> None:
    assert bounds(Machine()) == {"none": (MEASURED, MEASURED, DISK)}


def test_without_control_groups_memory_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(control_groups, "MOUNTS", tmp_path)
    assert bounds(Machine("bwrap")) == {
        "bubblewrap": (MEASURED, f"limit of its user namespace, {MEASURED}", DISK),
        "none": (MEASURED, MEASURED, DISK),
    }


def test_control_groups_are_named_with_their_version_and_none_is_left() -> None:
    groups = Groups()
    groups.close()
    if not groups.kind:
        pytest.skip("no control groups can be had here")
    counted = f"control group, version {groups.kind[1:]}"
    assert bounds(Machine("bwrap"))["bubblewrap"] == (counted, counted, DISK)
    assert groups._place is not None
    assert [top for top in groups._place.tops if top.exists()] == []


@pytest.mark.parametrize(
    ("info", "memory", "processes"),
    [
        (
            {"MemoryLimit": True, "PidsLimit": True},
            ENGINES,
            ENGINES,
        ),
        ({"MemoryLimit": False, "PidsLimit": True}, MEASURED, ENGINES),
        ({}, MEASURED, MEASURED),
    ],
    ids=["all", "no memory", "gone"],
)
def test_an_engine_bounds_what_it_says_it_can(
    monkeypatch: pytest.MonkeyPatch, info: dict[str, Any], memory: str, processes: str
) -> None:
    monkeypatch.setattr(doctor, "_engine_info", lambda _: info)
    assert bounds(Machine("docker"))["docker"] == (memory, processes, DISK)


def test_bounds_are_printed_with_the_tools(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor_command(None) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Isolation Memory Processes Disk" in printed
    assert "measured every 0.1 s" in printed


def test_an_isolation_that_can_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    assert isolation_command("none") == 0
    assert capsys.readouterr().out == "--isolation none is available here.\n"


def test_an_isolation_that_cannot_be_had_is_a_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ToolMissing("a bwrap that works", install="setting up uid map: Permission denied")

    monkeypatch.setattr(open_, "open_sandbox", missing)
    with pytest.raises(UsageError) as caught:
        isolation_command("bubblewrap")
    assert str(caught.value) == (
        "--isolation bubblewrap is not available here: "
        "a bwrap that works is not on this machine (setting up uid map: Permission denied)"
    )
