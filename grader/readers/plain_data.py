"""YAML's data as JSON would have it, for validators that expect no more than that."""

from __future__ import annotations

from typing import Any


def as_json(data: Any) -> Any:
    """Keys are text, dates too; sets are lists."""
    match data:
        case dict():
            return {str(key): as_json(value) for key, value in data.items()}
        case list() | tuple() | set():
            return [as_json(value) for value in data]
        case None | bool() | int() | float() | str():
            return data
    return str(data)
