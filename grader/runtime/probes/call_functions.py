"""Import a candidate's file and call functions of it that nothing calls.

Request: {"path": "src/query.py", "functions": ["best_runs", ...]}
Answer: {"error": why it could not be imported, or "", "calls": [{function, returned: text, error}, ...]}
What the functions return is written down with run ids first, since a printed table cuts them off.
"""

import importlib
import itertools
import json
import os
import sys
import traceback
import types

MOST = 200
MOST_DEPTH = 6
MOST_CHARACTERS = 200_000


def load(path):
    """The names that the file defines, imported as its neighbours would import it."""
    here = os.getcwd()
    folder = os.path.dirname(os.path.join(here, path))
    sys.path[0] = folder
    sys.path.insert(1, here)
    sys.argv = [path]
    try:
        return vars(importlib.import_module(os.path.splitext(os.path.basename(path))[0]))
    except ImportError as error:
        if "relative import" not in str(error):
            raise
        return vars(importlib.import_module(os.path.splitext(path)[0].replace(os.sep, ".")))


def said(value, depth=0):
    """A returned value as lines of text."""
    if depth > MOST_DEPTH or value is None:
        return
    if hasattr(value, "info") and hasattr(value.info, "run_id"):
        data = getattr(value, "data", None)
        yield f"{value.info.run_id} {getattr(value.info, 'run_name', '')} {dict(getattr(data, 'metrics', {}))}"
    elif hasattr(value, "to_dict") and hasattr(value, "columns"):
        yield from (json.dumps(row, default=str) for row in value.head(MOST).to_dict("records"))
    elif isinstance(value, dict):
        for key, inner in itertools.islice(value.items(), MOST):
            yield f"{key}:"
            yield from said(inner, depth + 1)
    elif isinstance(value, (list, tuple, set, types.GeneratorType)):
        for inner in itertools.islice(value, MOST):
            yield from said(inner, depth + 1)
    elif hasattr(value, "__dict__") and not callable(value):
        yield from said(vars(value), depth + 1)
    else:
        yield str(value)


def call(function, name):
    told = {"function": name, "returned": "", "error": ""}
    try:
        lines = itertools.islice(said(function()), MOST * 20)
        told["returned"] = "\n".join(lines)[:MOST_CHARACTERS]
    except BaseException as error:  # also an exit: the next function has its own chance
        traceback.print_exc()
        told["error"] = "".join(traceback.format_exception_only(type(error), error)).strip()[-500:]
    return told


def answer(request):
    try:
        names = load(request["path"])
    except BaseException as error:
        traceback.print_exc()
        return {"error": "".join(traceback.format_exception_only(type(error), error)).strip()[-500:], "calls": []}
    found = [(name, names.get(name)) for name in request["functions"]]
    return {"error": "", "calls": [call(function, name) for name, function in found if callable(function)]}


if __name__ == "__main__":
    asked, answered = sys.argv[1:3]
    with open(asked) as file:
        request = json.load(file)
    told = answer(request)
    sys.stdout.flush()
    with open(answered, "w") as file:
        json.dump(told, file)
