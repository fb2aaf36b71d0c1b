"""JSON Schemas: what an exam, a rubric, a manifest and a result look like."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def read(name: str) -> str:
    """The text of a schema: `exam`, `rubric`, `manifest` or `result`."""
    return files(__name__).joinpath(f"{name}.schema.json").read_text(encoding="utf-8")


def load(name: str) -> dict[str, Any]:
    """A schema as plain data."""
    schema: dict[str, Any] = json.loads(read(name))
    return schema
