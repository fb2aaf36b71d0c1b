"""Where a sandbox finds what it starts programs with."""

from __future__ import annotations

import sys
from pathlib import Path

INSIDE = Path(__file__).parents[1] / "inside"


PYTHON = Path(sys._base_executable if hasattr(sys, "_base_executable") else sys.executable).resolve()
"""The interpreter itself rather than that of the grader's own environment, which nobody else needs to see."""


PREFIX = PYTHON.parents[1]


START = ("-I", "-S", "-X", "utf8")
