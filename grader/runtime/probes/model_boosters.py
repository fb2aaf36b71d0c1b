"""Models of boosting libraries in formats of their own, which hold numbers and no code; see `model_files.py`.

They stand in files that MLflow's flavors name, and in the pickles of wrappers that look like scikit-learn's.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from typing import TYPE_CHECKING, Any

import safe_pickle  # type: ignore[import-not-found]  # (beside this file)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 2**28
ROWS = 8
FILES = {".ubj": "xgboost", ".xgb": "xgboost", ".lgb": "lightgbm", ".cb": "catboost", ".cbm": "catboost"}
"""Ending of a name -> the library whose format that is."""
PICKLES = {".pkl", ".skops"}
"""Endings of what else the flavors write, which is read otherwise."""
STATES = {
    "xgboost.core.Booster": "handle",
    "lightgbm.basic.Booster": "_handle",
    "catboost.core.CatBoostClassifier": "__model",
}
"""Class -> what its pickled state calls the model itself."""
_PICKLED = b"Config"
"""What only XGBoost's pickles begin with: the settings, before the model."""
FLAVORS = {f"mlflow.{library}": library for library in ("xgboost", "lightgbm", "catboost")}


class Booster:
    """The bytes of a model, and which library reads them."""

    def __init__(self, library: str, content: bytes) -> None:
        """Nothing is read of it yet."""
        self.library, self.content = library, content


def in_file(path: Path, library: str = "") -> Iterator[Booster]:
    """The model that a file is, by its name's ending if not otherwise known."""
    library = FILES.get(path.suffix.lower(), library)
    if library and path.suffix.lower() not in PICKLES and path.stat().st_size <= MAX_BYTES:
        yield Booster(library, path.read_bytes())


def held(stub: Any) -> Iterator[Booster]:
    """The model that an unpickled wrapper keeps."""
    name = stub.name.removesuffix("()")
    for state in stub.held:
        if isinstance(state, dict):
            yield from _stated(name, state.get(STATES.get(name)))


def in_skops(node: dict[str, Any], files: dict[str, bytes]) -> Iterator[Booster]:
    """The same for a node of a file of skops."""
    name = f"{node.get('__module__')}.{node.get('__class__')}"
    for part in ("content", "content", STATES.get(name)):
        node = node.get(str(part), {})
        if not isinstance(node, dict):
            return
    if "file" in node:
        yield from _stated(name, files.get(str(node["file"])))
    elif isinstance(node.get("content"), str):
        with contextlib.suppress(ValueError):
            yield from _stated(name, json.loads(node["content"]))


def _stated(name: str, content: Any) -> Iterator[Booster]:
    if isinstance(content, str):
        content = content.encode()
    if isinstance(content, (bytes, bytearray)) and len(content) <= MAX_BYTES:
        yield Booster(name.partition(".")[0], bytes(content))


def predicts(booster: Booster) -> str:
    """Empty if its library reads it and predicts with it; else the complaint."""
    import numpy

    if not safe_pickle.is_of_index(booster.library):
        return f"{booster.library} is not installed from an index"
    try:
        library = importlib.import_module(booster.library)
        told = numpy.asarray(READERS[booster.library](library, booster.content))
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    if len(told) != ROWS or told.dtype.kind not in "biuf" or not numpy.isfinite(told).all():
        return "its predictions are not one number for each row"
    return ""


def drawn(width: int) -> Any:
    """Rows of so many columns."""
    import numpy

    if not 0 < width <= 100_000:
        raise ValueError(f"a model of {width} columns")
    return numpy.random.default_rng().normal(size=(ROWS, width))


def _xgboost(library: Any, content: bytes) -> Any:
    booster = library.Booster()
    if _PICKLED in content[:64]:
        booster.__setstate__({"handle": bytearray(content)})
    else:
        booster.load_model(bytearray(content))
    rows = library.DMatrix(drawn(booster.num_features()))
    return booster.predict(rows, validate_features=False)


def _lightgbm(library: Any, content: bytes) -> Any:
    booster = library.Booster(model_str=content.decode())
    return booster.predict(drawn(booster.num_feature()))


def _catboost(library: Any, content: bytes) -> Any:
    model = library.CatBoost()
    model.load_model(blob=content)
    return model.predict(drawn(len(model.feature_names_)))


READERS = {"xgboost": _xgboost, "lightgbm": _lightgbm, "catboost": _catboost}
