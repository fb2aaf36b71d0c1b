"""JSON Schemas of formats that others define, as check-jsonschema brings them."""

from __future__ import annotations

import importlib.util
import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.errors import GraderFault

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from jsonschema.protocols import Validator

MAX_ERRORS = 5


def vendored_schema(name: str) -> dict[str, Any]:
    """A schema by its file's name without the ending, `compose-spec`.

    Raises:
        GraderFault: it cannot be read.
    """
    # Found without being imported: that would load the whole command line of check-jsonschema.
    package = importlib.util.find_spec("check_jsonschema")
    if package is None or not package.submodule_search_locations:
        raise GraderFault(f"check-jsonschema, which has the schema {name}, is not installed")
    folder = Path(package.submodule_search_locations[0])
    try:
        schema = json.loads((folder / "builtin_schemas" / "vendor" / f"{name}.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise GraderFault(f"the schema {name} cannot be read: {error}") from error
    assert isinstance(schema, dict)  # noqa: S101
    return schema


def deepest(error: Any) -> Any:
    """Of a choice between forms that all fail, the error that went furthest into the file."""
    while error.context:
        error = max(error.context, key=lambda each: (len(each.absolute_path), each.validator != "type"))
    return error


def schema_errors(validator: Validator, data: Any) -> Iterator[tuple[tuple[Hashable, ...], str]]:
    """The first places at which data do not fit a schema, each with what is wrong."""
    for error in islice(validator.iter_errors(data), MAX_ERRORS):
        found = deepest(error)
        place = tuple(found.absolute_path)
        yield place, f"{'.'.join(map(str, place)) or 'the file'}: {found.message}"
