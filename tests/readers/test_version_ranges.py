from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from grader.readers.version_ranges import Range, pep440, poetry


def read(specifiers: str) -> Range:
    found = pep440(SpecifierSet(specifiers))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("specifiers", "floor", "below", "above", "example"),
    [
        ("", "2.1", True, True, None),
        (">=2.1", "2.1", False, True, None),
        (">=2.0", "2.1", True, True, "2.0"),
        (">2.0", "2.1", True, True, "2.0.1"),
        ("!=2.0.3", "2.1", True, True, "2.0.4"),
        ("==2.*", "2.1", True, True, "2"),
        ("<3", "2.1", True, True, None),
        (">=1!1", "2.1", False, True, None),
        (">=2.1,<2.1", "2.1", False, False, None),
        (">=2.0,!=2.0.*", "2.1", False, True, None),
        # A pre-release of the floor is below it, where the range speaks of pre-releases at all.
        (">=2.1rc1", "2.1", True, True, "2.1rc1"),
        (">2.1rc1", "2.1", True, True, None),
        (">2.0.99999.99999,<2.1", "2.1", True, False, "2.0.99999.100000"),
        ("===2.2", "2.1", False, True, None),
    ],
)
def test_what_lies_below_and_above_a_floor(
    specifiers: str, floor: str, below: bool, above: bool, example: str | None
) -> None:
    found, version = read(specifiers), Version(floor)
    low = found.example_below(version)
    answers = (found.reaches_below(version), found.reaches(version), None if low is None else str(low))
    assert answers == (below, above, example)


@pytest.mark.parametrize(
    ("constraint", "inside", "outside"),
    [
        ("^0.2.3", "0.2.9", "0.3.0"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0.0", "0.0.9", "0.1"),
        ("^1", "1.9", "2.0"),
        ("~1.2.3", "1.2.9", "1.3"),
        ("1.2", "1.2.0", "1.2.1"),
        ("=1.2", "1.2", "1.3"),
    ],
)
def test_poetry_constraints(constraint: str, inside: str, outside: str) -> None:
    found = poetry(constraint)
    assert found is not None
    assert found.admits(Version(inside))
    assert not found.admits(Version(outside))


@pytest.mark.parametrize(
    ("constraint", "inside", "outside"),
    [
        (">=1.2.*", "1.2", "1.1.9"),
        ("1.x", "1.9", "2.0"),
        ("!=1.2.*", "1.3", "1.2.5"),
        ("~=1", "1.9", "2.0"),
        ("^1.2.0+cpu", "1.2", "2.0"),
    ],
)
def test_what_poetry_takes_and_the_standard_does_not(constraint: str, inside: str, outside: str) -> None:
    found = poetry(constraint)
    assert found is not None
    assert (found.admits(Version(inside)), found.admits(Version(outside))) == (True, False)


@pytest.mark.parametrize("constraint", ["", "newest", "^1.*", "~=1.2.*", "1.2 ||", "^", "1" * 501])
def test_what_is_no_constraint(constraint: str) -> None:
    assert poetry(constraint) is None
