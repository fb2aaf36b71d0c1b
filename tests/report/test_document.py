from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import jsonschema

from grader.report.document import document, write_json
from grader.report.formats import Settings
from grader.schemas import load
from tests.report.grades import a_grade

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_the_document_keeps_its_schema() -> None:
    jsonschema.Draft202012Validator(load("result")).validate(document(a_grade()))


def test_every_key_is_described() -> None:
    schema = load("result")
    assert [path for path, text in _properties(schema, "") if not text] == []


def _properties(schema: object, path: str) -> Iterator[tuple[str, str]]:
    """Every property below a schema, and its description; what refers to a definition has that one's."""
    if isinstance(schema, list):
        for each in schema:
            yield from _properties(each, path)
    if not isinstance(schema, dict):
        return
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}/{name}", inner.get("description", "")
    for key, inner in schema.items():
        if key == "properties":
            for name, each in inner.items():
                yield from _properties(each, f"{path}/{name}")
        else:
            yield from _properties(inner, path)


def test_the_keys_that_others_rely_on() -> None:
    data = document(a_grade())
    assert data["score"] == {
        "earned": 3,
        "possible": 8,
        "lowest": 3,
        "highest": 5,
        "bonus": {"earned": 1, "possible": 1},
        "pass_mark": 3,
        "passed": True,
        "complete": False,
    }
    lost = data["sections"][0]["tasks"][0]["criteria"][1]
    assert {
        key: lost[key] for key in ("id", "points", "earned", "status", "evidence", "hint", "seconds")
    } == {
        "id": "1.1.b",
        "points": 1,
        "earned": 0,
        "status": "lost",
        "evidence": "runs",
        "hint": "think of it",
        "seconds": 0.25,
    }
    assert [finding["where"] for finding in lost["findings"]] == ["src/a.py:3"]


def test_json_is_one_document_without_control_characters() -> None:
    stream = io.StringIO()
    write_json(a_grade(), stream, Settings())
    assert json.loads(stream.getvalue()) == document(a_grade())
    assert "\\u001b" not in stream.getvalue()
