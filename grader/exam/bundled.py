"""Where the exam that comes with the grader is: inside the package in a wheel, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
"""The grader's own folder of modules."""
_DATA = PACKAGE / "_data"

ROOT = _DATA if _DATA.is_dir() else PACKAGE.parent
SCHEMAS = PACKAGE / "schemas"

RUBRICS = ROOT / "rubrics"
"""The folder of the exam's own `exam.yaml`."""
FIXTURES = ROOT / "fixtures"
"""The given data, and the submissions that show what rubrics decide."""
REFERENCE_SOLUTION = ROOT / "reference_solution"
"""The submission that is worth full marks."""
