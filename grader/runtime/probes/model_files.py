"""What a model file or an MLflow model holds, read without running what it says; see `safe_pickle.py`."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import json
import re
import sys
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import model_boosters  # type: ignore[import-not-found]  # (beside this file)
import safe_pickle  # type: ignore[import-not-found]  # (the same)

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 6
"""Of a pipeline in a search in a dict…"""
MAX_OBJECTS = 100_000
MAX_DESCRIPTION = 2**20
MAX_FILES = 20
"""Of one model whose own code would say which of them it reads."""
MAX_PARTS = 100
"""Of a file of skops, that are tried one by one."""
FIRST_SAFE_SKOPS = (0, 13)
"""Before it, its loader could be made to call what nobody trusts."""
MIN_PARAMETERS = 6
"""Of a class that is known by them."""
ROWS = 8


class Read:
    """What came of it."""

    def __init__(self, roots: list[Any], *, safe: bool, error: str = "", flavor: str = "") -> None:
        """`roots` hold estimators; `safe` where they are the model rather than what can be found in it.

        `flavor` is one of MLflow's own of which nothing is known here.
        """
        self.roots, self.safe, self.error, self.flavor = roots, safe, error, flavor


def read(kind: str, path: Path) -> Read:
    """A model, as far as that is possible without running code."""
    if kind == "mlflow":
        return read_mlflow(path)
    return read_file(path)


def read_mlflow(directory: Path) -> Read:
    """The file that the flavor of scikit-learn or of a booster names; else any that holds something."""
    description = describe(directory)
    flavors = description.get("flavors")
    flavors = flavors if isinstance(flavors, dict) else {}
    sklearn, function = flavors.get("sklearn"), flavors.get("python_function")
    function = function if isinstance(function, dict) else {}
    loader = function.get("loader_module", "mlflow.sklearn")
    if isinstance(sklearn, dict) and loader == "mlflow.sklearn":
        path = inside(directory, sklearn.get("pickled_model") or "model.pkl")
        if path is not None:
            found = read_file(path)
            if sklearn.get("code") or function.get("code"):
                found.safe = False
            return found
    roots: list[Any] = []
    files = sorted(path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    for path in files[:MAX_FILES]:
        if path.suffix.lower() in {".pkl", ".pickle", ".joblib", ".skops", ".bin", ".model", ""}:
            roots += read_file(path).roots
        roots += model_boosters.in_file(path)
    library, named = model_boosters.FLAVORS.get(str(loader)), function.get("data")
    if library and (path := inside(directory, named)) is not None:
        roots += model_boosters.in_file(path, library)
    error = "MLflow loads it with code of its own"
    return Read(roots, safe=False, error=error, flavor="" if function.get("code") else unread(str(loader)))


def unread(loader: str) -> str:
    """The flavor of MLflow's own that a loader is of, unless models of that are read here."""
    top, _, flavor = loader.partition(".")
    return flavor if top == "mlflow" and flavor.isidentifier() and flavor not in {"sklearn", "pyfunc"} else ""


def describe(directory: Path) -> dict[str, Any]:
    """Its `MLmodel`, as data."""
    path = directory / "MLmodel"
    if path.stat().st_size > MAX_DESCRIPTION:
        return {}
    found = importlib.import_module("yaml").safe_load(path.read_text(encoding="utf-8", errors="replace"))
    return found if isinstance(found, dict) else {}


def inside(directory: Path, name: Any) -> Path | None:
    """A regular file of the model's."""
    path = directory / str(name)
    regular = path.is_file() and not path.is_symlink()
    return path if regular and directory.resolve() in path.resolve().parents else None


def read_file(path: Path) -> Read:
    """A bare file, by what its bytes are."""
    if zipfile.is_zipfile(path):
        return read_skops(path)
    try:
        return Read([safe_pickle.load(path)], safe=True)
    except Exception as error:
        complaint = told(error)
    try:
        return Read([safe_pickle.load(path, lenient=True)], safe=False, error=complaint)
    except Exception as error:
        return Read([], safe=False, error=told(error))


def read_skops(path: Path) -> Read:
    """By its own loader, with what that trusts by itself; else the forests that it holds, one by one."""
    with zipfile.ZipFile(path) as archive:
        if sum(each.file_size for each in archive.infolist()) > safe_pickle.MAX_BYTES:
            return Read([], safe=False, error=f"more than {safe_pickle.MAX_BYTES} bytes")
        schema = json.loads(archive.read("schema.json"))
        rest = {
            each.filename: archive.read(each) for each in archive.infolist() if each.filename != "schema.json"
        }
    skops = importlib.import_module("skops.io")
    protocol = importlib.import_module("skops.io._protocol").PROTOCOL
    version = tuple(int(part) for part in re.findall(r"\d+", importlib.metadata.version("skops"))[:2])
    if version < FIRST_SAFE_SKOPS or schema.get("protocol") != protocol:
        return Read([], safe=False, error="of an old format of skops")
    whole = packed(schema, rest)
    allowed = [name for name in skops.get_untrusted_types(data=whole) if is_allowed(name)]
    try:
        return Read([skops.loads(whole, trusted=allowed)], safe=True)
    except Exception as error:
        complaint = told(error)
    roots: list[Any] = []
    waiting, left = [schema], MAX_PARTS
    for node in waiting:
        if len(waiting) > MAX_OBJECTS or not left:
            break
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            if str(node.get("__module__")).split(".")[0] in safe_pickle.ESTIMATORS:
                left -= 1
                part = {**node, "protocol": protocol, "_skops_version": schema.get("_skops_version")}
                with contextlib.suppress(Exception):  # it is made of something untrusted, or no whole
                    roots.append(skops.loads(packed(part, rest), trusted=allowed))
                    continue
            roots += model_boosters.in_skops(node, rest)
            waiting += node.values()
    return Read(roots, safe=False, error=complaint)


def is_allowed(name: str) -> bool:
    """A type that a pickle may name as well."""
    try:
        return isinstance(safe_pickle.known(*name.rsplit(".", 1)), type)
    except Exception:
        return False


def packed(schema: dict[str, Any], rest: dict[str, bytes]) -> bytes:
    """An archive of skops."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
        for name, content in rest.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def told(error: BaseException) -> str:
    """In a line."""
    return f"{type(error).__name__}: {error}"[:300]


# --- what is in it --------------------------------------------------------------------------------


def estimators(roots: list[Any]) -> Iterator[Any]:
    """Outermost estimators of what was read, nearest first: not the trees of a forest."""
    waiting = [*roots]
    seen: dict[int, Any] = {}
    for value in waiting:
        if len(seen) > MAX_OBJECTS:
            return
        if id(value) in seen or isinstance(value, (str, bytes, int, float, type(None))):
            continue
        seen[id(value)] = value
        if is_estimator(value):
            yield value
            inner = end(value)
            waiting += [inner] if inner is not None else []
        elif isinstance(value, model_boosters.Booster):
            yield value
        elif isinstance(value, safe_pickle.Stub):
            derived = [found for state in value.held if (found := rebuilt(state)) is not None]
            waiting += derived or [*model_boosters.held(value), *value.held]
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, (list, tuple, set, frozenset)):
            waiting += value


def rebuilt(state: Any) -> Any:
    """Rebuild the estimator from whose class a script derived its own; None if the state fits no such class.

    It has every parameter of that class, and what it consists of is what that class is made of.
    """
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        return None
    if any(name.startswith("__") for name in state):
        return None
    best: Any = None
    for cls in families():
        parameters = cls._get_param_names()
        if set(parameters) <= state.keys() and (
            best is None or len(parameters) > len(best._get_param_names())
        ):
            parts, part = state.get("estimators_"), getattr(unfitted(cls), "estimator", None)
            if part is None or (isinstance(parts, list) and parts and type(parts[0]) is type(part)):
                best = cls
    if best is None:
        return None
    model = best.__new__(best)
    model.__dict__.update(state)
    return model


def families() -> list[Any]:
    """Estimators of scikit-learn that predict and have enough parameters to be known by them."""
    found = []
    for name in ("ensemble", "linear_model", "naive_bayes", "neighbors", "neural_network", "svm", "tree"):
        for cls in vars(importlib.import_module(f"sklearn.{name}")).values():
            if isinstance(cls, type) and safe_pickle.is_estimator(cls) and hasattr(cls, "predict"):
                found += [cls] if len(parameters(cls)) >= MIN_PARAMETERS else []
    return found


def parameters(cls: Any) -> set[str]:
    """The names of what it is made with."""
    return {*cls._get_param_names()}


def unfitted(cls: Any) -> Any:
    """One with its defaults, where it has them."""
    with contextlib.suppress(Exception):
        return cls()
    return None


def is_estimator(value: Any) -> bool:
    """An instance of one that predicts, its class being the library's."""
    cls = type(value)
    package = cls.__module__.partition(".")[0]
    module = sys.modules.get(cls.__module__)
    genuine = package in safe_pickle.ESTIMATORS and getattr(module, cls.__name__, None) is cls
    return genuine and safe_pickle.is_estimator(cls) and hasattr(cls, "predict")


def end(model: Any) -> Any:
    """What this one hands its work to."""
    steps = vars(model).get("steps")
    if isinstance(steps, list) and steps and isinstance(steps[-1], (list, tuple)) and steps[-1]:
        return steps[-1][-1]
    return vars(model).get("best_estimator_")


def chain(model: Any) -> list[Any]:
    """From the outside in, while they are estimators."""
    if isinstance(model, model_boosters.Booster):
        return [model]
    found: list[Any] = []
    while is_estimator(model) and len(found) < MAX_DEPTH:
        found.append(model)
        model = end(model)
    return found


def names(model: Any) -> list[str]:
    """Its class with its bases; of a boosting library's model, its library."""
    if isinstance(model, model_boosters.Booster):
        return [model.library]
    return [cls.__name__ for cls in type(model).__mro__ if cls is not object]


def predicts(model: Any, columns: list[str], rows: list[list[float]]) -> str:
    """Empty if it predicts the rows, or some of its own number of columns; else the first complaint."""
    if isinstance(model, model_boosters.Booster):
        return str(model_boosters.predicts(model))
    import joblib
    import numpy
    import pandas

    sample = pandas.DataFrame(rows, columns=columns).astype(float)
    width = getattr(model, "n_features_in_", None)
    width = width if isinstance(width, (int, numpy.integer)) and 0 < width <= 100_000 else len(columns)
    fitted = getattr(model, "feature_names_in_", None)
    fitted = list(fitted) if isinstance(fitted, numpy.ndarray) and fitted.shape == (width,) else []
    drawn = numpy.random.default_rng().normal(size=(ROWS, width))
    inputs = []
    if fitted:
        # A script may have made columns of its own: what is not given is nought.
        named = sample.reindex(columns=fitted, fill_value=0.0)
        inputs += [named, named.astype(int), pandas.DataFrame(drawn, columns=fitted)]
    inputs += [sample, drawn]
    first = ""
    # In this process alone: another would read by plain means what is sent to it.
    with joblib.parallel_backend("sequential"):
        for data in inputs:
            try:
                if len(model.predict(data)) == len(data):
                    return ""
                first = first or "the number of predictions differs from the number of rows"
            except Exception as error:
                first = first or told(error)
    return first or "it predicts nothing"


def inspect(model: dict[str, str], columns: list[str], rows: list[list[float]]) -> dict[str, Any]:
    """One model.

    Returns:
        `safe`: whether that is all there is to say. Otherwise only the model's own code could say whether it
        loads and predicts, and the rest is what was found in it. The innermost estimator is one that predicts
        by itself.
    """
    seen: dict[str, Any] = {"safe": False, "loads": False, "predicts": False, "estimators": [], "error": ""}
    seen["flavor"] = ""
    try:
        warnings.simplefilter("ignore")
        got = read(model["kind"], Path(model["path"]))
        seen["safe"], seen["error"], seen["flavor"] = got.safe, got.error, got.flavor
        for found in estimators(got.roots):
            whole = predicts(found, columns, rows)
            links = chain(found)
            while links and predicts(links[-1], columns, rows):
                links.pop()
            seen["error"] = seen["error"] if links and not got.safe else whole
            if links:
                seen["loads"] = True
                seen["predicts"] = not whole or not got.safe
                seen["estimators"] = [names(link) for link in chain(found)]
                break
            if got.safe and whole.startswith("NotFittedError"):
                # Nothing has been hidden in it: what was never fitted is of its class all the same.
                seen["loads"] = True
                seen["estimators"] = [names(link) for link in chain(found)]
                break
    except Exception as error:
        seen["error"] = told(error)
    return seen
