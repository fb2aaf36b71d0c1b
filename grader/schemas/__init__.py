"""What an exam, a rubric, a manifest and a result look like, and what GitHub allows in a workflow."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import yaml


def read(name: str) -> str:
    """The text of a schema: `exam`, `rubric`, `manifest` or `result`."""
    return files(__name__).joinpath(f"{name}.schema.json").read_text(encoding="utf-8")


def load(name: str) -> dict[str, Any]:
    """A schema as plain data."""
    schema: dict[str, Any] = json.loads(read(name))
    return schema


def read_table(name: str) -> dict[str, Any]:
    """A table of what another program allows: `workflow-contexts`."""
    table: dict[str, Any] = yaml.safe_load(
        files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    )
    return table
