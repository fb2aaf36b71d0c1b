"""Load models in the candidate's environment and predict with them.

Request: {"models": [{"kind": "mlflow" | "file", "path": "..."}], "columns": [...], "rows": [[...], ...]}
Answer: {"models": [{"loads", "predicts", "estimators", "error"}, ...]}, in the same order.
"""

import importlib
import json
import os
import sys
import traceback
import warnings

# Models are loaded in whatever format their script chose; the sandbox is the protection here.
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
warnings.simplefilter("ignore")
MOST_DEPTH = 6


def load_mlflow(path):
    """The scikit-learn estimator if there is one, else what pyfunc makes of the model."""
    import mlflow.pyfunc
    import mlflow.sklearn

    try:
        return mlflow.sklearn.load_model(path)
    except Exception:
        return mlflow.pyfunc.load_model(path)


def load_file(path):
    """A bare file by whichever library can read it."""
    first = None
    for name, load in (("joblib", "load"), ("pickle", "load"), ("cloudpickle", "load")):
        try:
            module = importlib.import_module(name)
            if name == "joblib":
                return module.load(path)
            with open(path, "rb") as file:
                return getattr(module, load)(file)
        except Exception as error:
            first = first or error
    try:
        skops = importlib.import_module("skops.io")
        return skops.load(path, trusted=skops.get_untrusted_types(file=path))
    except Exception:
        raise first from None


def unwrapped(model):
    """What a dict, a tuple or an object around the model holds, until something predicts."""
    for _ in range(MOST_DEPTH):
        if hasattr(model, "predict"):
            return model
        inner = list(model.values()) if isinstance(model, dict) else []
        inner += list(model) if isinstance(model, (list, tuple)) else []
        model = next((each for each in inner if hasattr(each, "predict")), None)
    return model


def chain(model):
    """Class names from the outside in: pipeline, search, the estimator at the end."""
    names = []
    for _ in range(MOST_DEPTH):
        names.append([cls.__name__ for cls in type(model).__mro__ if cls is not object])
        inner = inside(model)
        if inner is None or inner is model:
            break
        model = inner
    return names


def inside(model):
    steps = getattr(model, "steps", None)
    if isinstance(steps, list) and steps and isinstance(steps[-1], (list, tuple)):
        return steps[-1][-1]
    if getattr(model, "best_estimator_", None) is not None:
        return model.best_estimator_
    if type(model).__name__ == "PyFuncModel":
        return wrapped_by_pyfunc(model)
    return None


def wrapped_by_pyfunc(model):
    """What a custom pyfunc keeps the estimator in."""
    try:
        python_model = model.unwrap_python_model()
    except Exception:
        getter = getattr(model, "get_raw_model", None)
        return getter() if getter else None
    held = vars(python_model).values() if hasattr(python_model, "__dict__") else ()
    return next((each for each in held if hasattr(each, "predict")), python_model)


def inputs(model, columns, rows):
    """Forms in which the model may take the rows, the likeliest first."""
    import numpy
    import pandas

    frame = pandas.DataFrame(rows, columns=columns).astype(float)
    names = list(getattr(model, "feature_names_in_", ()))
    if not names:
        schema = getattr(getattr(model, "metadata", None), "get_input_schema", lambda: None)()
        names = list(schema.input_names()) if schema is not None and schema.has_input_names() else []
    if names:
        yield frame.reindex(columns=names, fill_value=0.0)
        yield frame.reindex(columns=names, fill_value=0)
    yield frame
    width = getattr(model, "n_features_in_", frame.shape[1])
    values = numpy.zeros((len(rows), int(width)))
    shared = min(values.shape[1], frame.shape[1])
    values[:, :shared] = frame.to_numpy()[:, :shared]
    yield values


def predicts(model, columns, rows):
    """Whether one of the forms gives a prediction for each row; the first complaint otherwise."""
    first = None
    for data in inputs(model, columns, rows):
        try:
            answer = model.predict(data)
            if len(answer) == len(rows):
                return None
            first = first or ValueError(f"{len(answer)} predictions for {len(rows)} rows")
        except Exception as error:
            first = first or error
    return first


def inspect(model, columns, rows):
    seen = {"loads": False, "predicts": False, "estimators": [], "error": ""}
    try:
        loaded = load_mlflow(model["path"]) if model["kind"] == "mlflow" else unwrapped(load_file(model["path"]))
        if loaded is None:
            raise ValueError("the file holds nothing that predicts")
        seen["loads"] = True
        seen["estimators"] = chain(loaded)
        error = predicts(loaded, columns, rows)
        if error is not None:
            raise error
        seen["predicts"] = True
    except BaseException as error:  # one model must not take the others down
        seen["error"] = "".join(traceback.format_exception_only(type(error), error)).strip()[-500:]
    return seen


def answer(request):
    return {"models": [inspect(model, request["columns"], request["rows"]) for model in request["models"]]}


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        asked = json.load(file)
    with open(sys.argv[2], "w") as file:
        json.dump(answer(asked), file)
