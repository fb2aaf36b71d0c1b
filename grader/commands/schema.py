"""`grader schema`."""

from __future__ import annotations

import json

from grader.checks import ALL
from grader.error_handler import PASSED
from grader.exam.check_reference import editor_schema
from grader.schemas import read


def schema_command(name: str) -> int:
    """Print a JSON Schema for editors and programs."""
    text = read(name)
    if name == "rubric":
        text = json.dumps(editor_schema(json.loads(text), ALL), indent=1, ensure_ascii=False)
    print(text.rstrip())  # noqa: T201
    return PASSED
