"""Import a candidate's file and call functions of it that nothing calls.

Request: {"path": "src/query.py", "functions": ["best_runs", ...]}
Answer: {"error": why it could not be imported, or "", "calls": [{function, returned: text, error}, ...]}
What the functions return is written down with run ids first, since a printed table cuts them off.
"""

import importlib
import itertools
import json
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MOST = 200
MAX_DEPTH = 6
MAX_CHARACTERS = 200_000


def load(path: Path) -> dict[str, Any]:
    """The names that the file defines, imported as its neighbours would import it."""
    sys.path[0] = str(path.parent.absolute())
    sys.path.insert(1, str(Path.cwd()))
    sys.argv = [str(path)]
    try:
        return vars(importlib.import_module(path.stem))
    except ImportError as error:
        if "relative import" not in str(error):
            raise
        return vars(importlib.import_module(".".join(path.with_suffix("").parts)))


def said(value: Any, depth: int = 0) -> Iterator[str]:
    """A returned value as lines of text."""
    if depth > MAX_DEPTH or value is None:
        return
    if hasattr(value, "info") and hasattr(value.info, "run_id"):
        metrics = getattr(getattr(value, "data", None), "metrics", {})
        yield f"{value.info.run_id} {getattr(value.info, 'run_name', '')} {dict(metrics)}"
    elif hasattr(value, "to_dict") and hasattr(value, "columns"):
        yield from (json.dumps(row, default=str) for row in value.head(MOST).to_dict("records"))
    elif isinstance(value, dict):
        for key, inner in itertools.islice(value.items(), MOST):
            yield f"{key}:"
            yield from said(inner, depth + 1)
    elif isinstance(value, list | tuple | set | types.GeneratorType):
        for inner in itertools.islice(value, MOST):
            yield from said(inner, depth + 1)
    elif hasattr(value, "__dict__") and not callable(value):
        yield from said(vars(value), depth + 1)
    else:
        yield str(value)


def summary(error: BaseException) -> str:
    """An exception in a line."""
    return "".join(traceback.format_exception_only(type(error), error)).strip()[-500:]


def call(function: Callable[[], Any], name: str) -> dict[str, str]:
    """What one function returns."""
    told = {"function": name, "returned": "", "error": ""}
    try:
        lines = itertools.islice(said(function()), MOST * 20)
        told["returned"] = "\n".join(lines)[:MAX_CHARACTERS]
    except BaseException as error:  # also an exit: the next function has its own chance
        traceback.print_exc()
        told["error"] = summary(error)
    return told


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What each of the functions returns."""
    try:
        names = load(Path(request["path"]))
    except BaseException as error:
        traceback.print_exc()
        return {"error": summary(error), "calls": []}
    found = [(name, names.get(name)) for name in request["functions"]]
    return {"error": "", "calls": [call(function, name) for name, function in found if callable(function)]}


if __name__ == "__main__":
    asked, answered = map(Path, sys.argv[1:3])
    told = answer(json.loads(asked.read_text(encoding="utf-8")))
    sys.stdout.flush()
    answered.write_text(json.dumps(told), encoding="utf-8")
