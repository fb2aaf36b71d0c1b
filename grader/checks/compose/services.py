"""The services of a Compose file in their long form, whatever form they are written in."""

from __future__ import annotations

import re
import shlex
from typing import Any

MAX_INTERPOLATED = 10_000
"""Characters of a text in which variables are filled in."""
_VARIABLE = re.compile(r"\$(?:\$|\{(\w{1,200})(?:(:?-)([^{}]{0,1000}))?[^{}]{0,1000}\}|(\w{1,200}))")
_PORT = re.compile(
    r"(?:(?P<host>\[[\da-fA-F:]{2,40}\]|[\d.]{7,15}):)?(?:(?P<published>[\d-]{0,11}):)?"
    r"(?P<target>[\d-]{1,11})(?:/(?P<protocol>\w{1,10}))?"
)


def interpolated(value: Any) -> Any:
    """Plain data with `${NAME:-default}` filled in by its default; what has none stays as it is."""
    match value:
        case dict():
            return {key: interpolated(each) for key, each in value.items()}
        case list():
            return [interpolated(each) for each in value]
        case str() if "$" in value and len(value) <= MAX_INTERPOLATED:
            return _VARIABLE.sub(_default, value)
    return value


def _default(found: re.Match[str]) -> str:
    if found[0] == "$$":
        return "$"
    return found[3] if found[2] else found[0]


def long_form(service: dict[str, Any]) -> dict[str, Any]:
    """A service with every short form written out; what fits no form stays as it is."""
    forms = {
        "environment": lambda value: _mapping(value, "="),
        "labels": lambda value: _mapping(value, "="),
        "extra_hosts": lambda value: _mapping(value, "=" if "=" in str(value) else ":"),
        "depends_on": lambda value: _named(value, {"condition": "service_started", "required": True}),
        "networks": lambda value: _named(value, None),
        "ports": lambda value: _each(value, _port),
        "volumes": lambda value: _each(value, _volume),
        "command": _words,
        "entrypoint": _words,
        "env_file": lambda value: [value] if isinstance(value, str) else value,
        "build": lambda value: {"context": value} if isinstance(value, str) else value,
        "healthcheck": _health_check,
    }
    return {key: forms[key](value) if key in forms else value for key, value in service.items()}


def _mapping(value: Any, separator: str) -> Any:
    if isinstance(value, dict):
        return {key: _text(each) for key, each in value.items()}
    if not isinstance(value, list):
        return value
    pairs = (str(each).partition(separator) for each in value)
    return {name.strip(): text if mark else None for name, mark, text in pairs}


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _named(value: Any, usual: Any) -> Any:
    if isinstance(value, dict) and isinstance(usual, dict):
        return {key: {**usual, **each} if isinstance(each, dict) else each for key, each in value.items()}
    return {str(each): usual for each in value} if isinstance(value, list) else value


def _each(value: Any, read: Any) -> Any:
    return [read(each) for each in value] if isinstance(value, list) else value


def _port(value: Any) -> Any:
    if isinstance(value, dict):
        published = value.get("published")
        return {**value, "protocol": value.get("protocol", "tcp")} | (
            {"published": str(published)} if published is not None else {}
        )
    found = _PORT.fullmatch(str(value)) if isinstance(value, str | int) else None
    if found is None:
        return value
    target = found["target"]
    long: dict[str, Any] = {
        "target": int(target) if target.isdigit() else target,
        "protocol": found["protocol"] or "tcp",
    }
    if found["published"]:
        long["published"] = found["published"]
    if found["host"]:
        long["host_ip"] = found["host"].strip("[]")
    return long


def _volume(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    source, mark, rest = value.partition(":")
    if not mark:
        return {"type": "volume", "target": source}
    target, _, mode = rest.partition(":")
    bound = source.startswith((".", "/", "~"))
    options = mode.split(",")
    return {
        "type": "bind" if bound else "volume",
        "source": source,
        "target": target,
        "read_only": "ro" in options,
    }


def _words(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError:
        return value


def _health_check(value: Any) -> Any:
    if isinstance(value, dict) and isinstance(value.get("test"), str):
        return {**value, "test": ["CMD-SHELL", value["test"]]}
    return value
