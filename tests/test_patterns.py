"""Regular expressions mean the same on every Python that the grader supports."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import grader

PACKAGE = Path(grader.__file__).parent
_POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{\d*,?\d*\})\+")


def test_no_group_is_repeated_possessively() -> None:
    """Python before 3.11.5 forgets what such a group matched (cpython#106052); `(?>(?:…)*)` is the same."""
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}: {node.value}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if _POSSESSIVE_GROUP.search(node.value)
    ]
    assert found == []
