"""Load one model in the candidate's environment and predict with it; see `inspect_models.py`."""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Models are loaded in whatever format their script chose; the sandbox is the protection here.
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
warnings.simplefilter("ignore")
MAX_DEPTH = 6


def load_mlflow(path: str) -> Any:
    """The scikit-learn estimator if there is one, else what pyfunc makes of the model."""
    import mlflow.pyfunc
    import mlflow.sklearn

    try:
        return mlflow.sklearn.load_model(path)
    except Exception:
        return mlflow.pyfunc.load_model(path)


def load_file(path: str) -> Any:
    """A bare file by whichever library can read it; the first complaint where none can."""
    first: Exception | None = None
    for load in (_joblib, _pickle, _cloudpickle, _skops):
        try:
            return load(path)
        except Exception as error:
            first = first or error
    raise first or ValueError("no known library can load it")


def _joblib(path: str) -> Any:
    return importlib.import_module("joblib").load(path)


def _pickle(path: str) -> Any:
    with Path(path).open("rb") as file:
        return importlib.import_module("pickle").load(file)


def _cloudpickle(path: str) -> Any:
    with Path(path).open("rb") as file:
        return importlib.import_module("cloudpickle").load(file)


def _skops(path: str) -> Any:
    skops = importlib.import_module("skops.io")
    return skops.load(path, trusted=skops.get_untrusted_types(file=path))


def unwrapped(model: Any) -> Any:
    """What a dict, a tuple or a list around the model holds, until something predicts."""
    for _ in range(MAX_DEPTH):
        if hasattr(model, "predict"):
            return model
        inner = list(model.values()) if isinstance(model, dict) else []
        inner += list(model) if isinstance(model, (list, tuple)) else []
        model = next((each for each in inner if hasattr(each, "predict")), None)
    return model


def inputs(model: Any, columns: list[str], rows: list[list[float]]) -> Iterator[Any]:
    """Forms in which the model may take the rows, the likeliest first."""
    import numpy
    import pandas

    frame = pandas.DataFrame(rows, columns=columns).astype(float)
    names = list(getattr(model, "feature_names_in_", ()))
    if not names:
        schema = getattr(getattr(model, "metadata", None), "get_input_schema", lambda: None)()
        names = list(schema.input_names()) if schema is not None and schema.has_input_names() else []
    if names:
        # A script may have made columns of its own: what is not given is nought.
        yield frame.reindex(columns=names, fill_value=0.0)
        yield frame.reindex(columns=names, fill_value=0.0).astype(int)
    yield frame
    width = int(getattr(model, "n_features_in_", frame.shape[1]))
    values = numpy.zeros((len(rows), width))
    shared = min(width, frame.shape[1])
    values[:, :shared] = frame.to_numpy()[:, :shared]
    yield values


def predicts(model: Any, columns: list[str], rows: list[list[float]]) -> Exception | None:
    """None if one of the forms gives a prediction for each row, else the first complaint."""
    first: Exception | None = None
    for data in inputs(model, columns, rows):
        try:
            told = model.predict(data)
            if len(told) == len(rows):
                return None
            first = first or ValueError(f"{len(told)} predictions for {len(rows)} rows")
        except Exception as error:
            first = first or error
    return first


def inspect(model: dict[str, str], columns: list[str], rows: list[list[float]]) -> dict[str, Any]:
    """One model; what goes wrong with it is told and takes no other down."""
    seen: dict[str, Any] = {"loads": False, "predicts": False, "error": ""}
    try:
        path = model["path"]
        loaded = load_mlflow(path) if model["kind"] == "mlflow" else unwrapped(load_file(path))
        if loaded is None:
            raise ValueError("the file holds no object that predicts")
        seen["loads"] = True
        error = predicts(loaded, columns, rows)
        if error is not None:
            raise error
        seen["predicts"] = True
    except BaseException as error:
        seen["error"] = "".join(traceback.format_exception_only(type(error), error)).strip()[-500:]
    return seen


def main(request: dict[str, Any], descriptor: int) -> None:
    """Say what one model is."""
    connection = socket.socket(fileno=descriptor)
    (model,) = request["models"]
    told = inspect(model, request["columns"], request["rows"])
    connection.send(json.dumps(told).encode())
    os._exit(0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), int(sys.argv[2]))
