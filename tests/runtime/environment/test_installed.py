from __future__ import annotations

from typing import TYPE_CHECKING

from grader.runtime.environment.installed import Installed

if TYPE_CHECKING:
    from pathlib import Path

NONE: frozenset[str] = frozenset()


def put(root: Path, name: str, version: str, *requires: str) -> None:
    folder = root / "lib/python3.11/site-packages" / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    (folder / "METADATA").write_text(
        "\n".join([*lines, *(f"Requires-Dist: {one}" for one in requires)]) + "\n"
    )


def test_what_is_needed_and_not_among_the_wanted_is_missing(tmp_path: Path) -> None:
    put(
        tmp_path,
        "Top_Level",
        "1.0",
        "needed>=2",
        "there",
        "win; sys_platform == 'win32'",
        "x; extra == 'more'",
    )
    put(tmp_path, "needed", "2.1")  # installed, but the lock does not say so
    put(tmp_path, "there", "1.0", "setuptools", "top-level<1")
    found = Installed(tmp_path, "3.11.7")
    assert found.versions == {"needed": "2.1", "there": "1.0", "top-level": "1.0"}
    assert found.missing([("top-level", NONE), ("there", NONE)]) == (
        "needed>=2 (needed by top-level 1.0)",
        "top-level<1, not 1.0 (needed by there 1.0)",
    )


def test_extras_count_where_somebody_asks_for_them(tmp_path: Path) -> None:
    put(tmp_path, "a", "1", "b[more]")
    put(tmp_path, "b", "1", "c; extra == 'more'")
    wanted = [("a", NONE), ("b", NONE)]
    assert Installed(tmp_path, "3.11.7").missing(wanted) == ("c (needed by b 1)",)
    assert Installed(tmp_path, "3.11.7").missing([("b", NONE)]) == ()
    assert Installed(tmp_path, "3.11.7").missing([("b", frozenset(["more"]))]) == ("c (needed by b 1)",)


def test_markers_are_those_of_the_environments_python(tmp_path: Path) -> None:
    put(tmp_path, "a", "1", "old; python_version < '3.11'", "new; python_full_version >= '3.11.7'")
    assert Installed(tmp_path, "3.11.7").missing([("a", NONE)]) == ("new (needed by a 1)",)
    assert Installed(tmp_path, "3.10.1").missing([("a", NONE)]) == ("old (needed by a 1)",)


def test_broken_metadata_is_nobodys_loss(tmp_path: Path) -> None:
    put(tmp_path, "a", "not a version", "((", "b>=1; os_name ~= 'x'")
    put(tmp_path, "c", "1", "a>=1")
    assert Installed(tmp_path, "3.11.7").missing([("a", NONE), ("c", NONE), ("unheard-of", NONE)]) == ()
