"""Workflow commands as GitHub's runner takes them from the lines that a step prints."""

from __future__ import annotations

import re
from dataclasses import dataclass

ESCAPES = {"%3A": ":", "%2C": ",", "%0D": "\r", "%0A": "\n", "%25": "%"}
_LINE = re.compile(r"::(?P<name>[\w-]+)(?:\s+(?P<properties>.*?))?::(?P<data>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Command:
    """One that the runner obeys."""

    name: str
    properties: dict[str, str]
    data: str


def commands(text: str) -> list[Command]:
    """Of a text in which every line is one; the runner trims lines before it looks."""
    found = []
    for line in re.split(r"\r\n|[\r\n]", text):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            assert not line, f"this line is no command: {line[:200]!r}"
            continue
        properties = dict(each.split("=", 1) for each in (match["properties"] or "").split(",") if each)
        found.append(
            Command(
                match["name"],
                {key: _unescaped(value, ESCAPES) for key, value in properties.items()},
                _unescaped(match["data"], {key: ESCAPES[key] for key in ("%0D", "%0A", "%25")}),
            )
        )
    return found


def _unescaped(text: str, escapes: dict[str, str]) -> str:
    for key, value in escapes.items():  # the percent sign last, as the runner does
        text = text.replace(key, value)
    return text
