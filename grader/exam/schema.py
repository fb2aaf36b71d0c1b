"""An exam's own YAML files read, and JSON Schema over them, with complaints that point at lines."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from grader.check import unknown
from grader.documents import Problem, parse_yaml
from grader.exam.bundled import SCHEMAS
from grader.exam.diagnostics import Complaint, Sheet

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from pathlib import Path

    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

MAX_MESSAGE = 200


def read_sheet(path: Path, schema: str) -> tuple[Sheet | None, list[Complaint]]:
    """A file's only document; no sheet where it cannot be read at all."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return None, [Complaint(file=str(path), message=f"cannot be read: {error}")]
    documents = parse_yaml(text, str(path))
    if isinstance(documents, Problem):
        return None, [Complaint(file=str(path), line=documents.line or 0, message=documents.message)]
    if len(documents) != 1:
        said = f"expected one YAML document, found {len(documents)}"
        return None, [Complaint(file=str(path), message=said)]
    sheet = Sheet(str(path), documents[0])
    twice = [
        Complaint(file=sheet.file, line=line, message=f"duplicate key {key!r}")
        for key, line in sheet.document.duplicates
    ]
    return sheet, twice + against_schema(sheet, schema)


def against_schema(sheet: Sheet, schema: str) -> list[Complaint]:
    """Everything in which a file departs from `schemas/<schema>.schema.json`, in order of lines."""
    if odd := list(_odd_keys(sheet.data, ())):
        return [sheet.complain("a key must be a string; put it in quotes", *place) for place in odd]
    errors = _validator(schema).iter_errors(sheet.data)
    return sorted(complaint for error in errors for complaint in _complaints(sheet, error))


@functools.cache
def _validator(schema: str) -> Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads((SCHEMAS / f"{schema}.schema.json").read_text("utf-8")))


def _odd_keys(data: Any, place: tuple[Hashable, ...]) -> Iterator[tuple[Hashable, ...]]:
    """Keys that are no text: JSON has none, and regular expressions of a schema cannot read them."""
    if isinstance(data, dict):
        for key, value in data.items():
            if not isinstance(key, str):
                yield (*place, key)
            yield from _odd_keys(value, (*place, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _odd_keys(value, (*place, index))


def _complaints(sheet: Sheet, error: ValidationError) -> Iterator[Complaint]:
    place = tuple(error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.schema, dict):
        known: dict[str, object] = error.schema.get("properties", {})
        for key in error.instance if isinstance(error.instance, dict) else ():
            if key not in known:
                yield sheet.complain(unknown("key", key, known), *place, key)
    else:
        message = error.message
        yield sheet.complain(message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + "…", *place)
