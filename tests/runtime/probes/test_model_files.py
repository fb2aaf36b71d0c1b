"""Models that are read without running what they say."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import sys
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle  # type: ignore[import-untyped]
import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io  # type: ignore[import-untyped]
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

PROBES = Path(__file__).parents[3] / "grader/runtime/probes"
COLUMNS = ["a", "b", "c"]
X = pd.DataFrame(np.random.default_rng(1).random((40, 3)), columns=COLUMNS)
Y = (X["a"] > 0.5).astype(int)
ROWS = X.head(3).to_numpy().tolist()
OTHER = "LogisticRegression"
FOREST = "RandomForestClassifier"
HELD = (False, True, True, ["Pipeline", FOREST])
PIPELINE = (True, True, True, ["Pipeline", FOREST])


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(3, random_state=1).fit(X, Y)


@pytest.fixture(scope="module")
def files() -> Iterator[ModuleType]:
    sys.path.insert(0, str(PROBES))
    try:
        yield importlib.import_module("model_files")
    finally:
        sys.path.remove(str(PROBES))


@pytest.fixture(autouse=True)
def _warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        yield


def seen(files: ModuleType, path: Path, kind: str = "file") -> tuple[bool, bool, bool, list[str]]:
    told = files.inspect({"kind": kind, "path": str(path)}, COLUMNS, ROWS)
    return told["safe"], told["loads"], told["predicts"], [names[0] for names in told["estimators"]]


# --- what would run code ----------------------------------------------------------------------------


class Reduced:
    """Pickles as a call."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> tuple[Any, ...]:
        return self.parts


def named(module: str, name: str, *args: Any) -> bytes:
    """A pickle that calls a name, which need not exist here."""
    call = pickle.dumps(args, 4)[2:-1]
    return b"\x80\x04c" + f"{module}\n{name}\n".encode() + _unframed(call) + b"R."


def _unframed(code: bytes) -> bytes:
    """Without the frame's header, which says a length."""
    return code[9:] if code[:1] == b"\x95" else code


MARK = "MARK"
GADGETS: dict[str, bytes] = {
    "a shell": named("os", "system", f"touch {MARK}"),
    "a shell by its module": named("posix", "system", f"touch {MARK}"),
    "a process": named("subprocess", "check_call", ["touch", MARK]),
    "exec": named("builtins", "exec", f"open('{MARK}', 'w')"),
    "eval in the old way": b"\x80\x02c__builtin__\neval\n"
    + pickle.dumps((f"open('{MARK}', 'w')",), 2)[2:-1]
    + b"R.",
    "open": named("builtins", "open", MARK, "w"),
    "open by io": named("io", "open", MARK, "w"),
    "a dotted name": b"\x80\x04\x8c\x07sklearn\x8c\x11os.system\x93\x8c\x0atouch MARK\x85R.".replace(
        b"\x8c\x11", b"\x8c\x09"
    ),
    "by an allowed package": named("numpy.os", "system", f"touch {MARK}"),
    "numpy's compiler": named("numpy.f2py", "compile", "x"),
    "numpy's files": named("numpy", "save", MARK, 1),
    "numpy's file": named("numpy", "memmap", MARK, "uint8", "w+", 0, [4]),
    "array's file": named("numpy", "ndarray.tofile", MARK),
    "scikit-learn's joblib": named("sklearn.utils.parallel", "joblib.dump", 1, MARK),
    "joblib's file": named("joblib", "dump", 1, MARK),
    "joblib's memory": named("joblib.memory", "Memory", MARK),
    "pandas' pickle": named("pandas", "to_pickle", 1, MARK),
    "a pickle in a pickle": named("pickle", "loads", named("os", "system", f"touch {MARK}")),
    "a module": named("importlib", "import_module", "antigravity"),
    "an estimator's module": named("sklearn.datasets", "fetch_openml", "x"),
    "getattr": named("builtins", "getattr", 1, "real"),
    "operator": named("operator", "attrgetter", "real"),
    "partial": named("functools", "partial", print),
    "cloudpickle": cloudpickle.dumps(lambda: 1),
    "a code object": named("types", "CodeType", 0),
    "an extension": b"\x80\x02\x82\x01.",
    "an instance of the old kind": b"(ios\nsystem\n.",
    "a persistent id": b"Px\n.",
    "a codec": named("_codecs", "encode", "x", "rot13"),
}


@pytest.mark.parametrize("name", GADGETS)
def test_nothing_that_a_pickle_says_is_run(
    files: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.pkl").write_bytes(GADGETS[name])
    assert seen(files, Path("model.pkl")) == (False, False, False, [])
    assert [*tmp_path.iterdir()] == [tmp_path / "model.pkl"]


def stated(target: bytes, state: Any) -> bytes:
    """A pickle that gives state to what `target` leaves on the stack."""
    return b"\x80\x04" + target + _unframed(pickle.dumps(state, 4)[2:-1]) + b"b."


CLASS = b"csklearn.ensemble._forest\nRandomForestClassifier\n"


@pytest.mark.parametrize(
    "code",
    [
        stated(CLASS, {"predict": 1}),
        stated(CLASS, (None, {"predict": 1})),
        stated(b"cnumpy\nlog\n", {"x": 1}),
        stated(CLASS + b")\x81", {"__class__": 1}),
        stated(CLASS + b")\x81", {"__reduce_ex__": str}),
        stated(CLASS + b")\x81", (None, {"__class__": 1})),
        stated(CLASS + b")\x81", {})[:-1] + b"}b.",
        named("numpy", "ndarray", (2**62,)),
        b"(" * 100_000 + b"t" * 100_000 + b".",
        b"\x80\x04\x8a\xff" + b"\x7f" * 255 + b".",
        b"\x80\x04\x8b\xff\xff\xff\x7f.",
        b"\x80\x04\x8d" + b"\xff" * 7 + b"\x0f.",
        b"ZF0x10",
        b"\x78\x9c\x00",
        b"",
    ],
)
def test_state_and_sizes_are_refused(files: ModuleType, tmp_path: Path, code: bytes) -> None:
    predict = RandomForestClassifier.predict
    (tmp_path / "model").write_bytes(code)
    safe, *rest = seen(files, tmp_path / "model")
    assert (safe in {True, False}, rest) == (True, [False, False, []])
    assert RandomForestClassifier.predict is predict


def test_trees_are_what_they_say(files: ModuleType, tmp_path: Path) -> None:
    tree = forest().estimators_[0].tree_
    cls, args, state = tree.__reduce__()
    nodes = state["nodes"].copy()
    nodes["left_child"][0] = 10**6
    circle = state["nodes"].copy()
    circle["left_child"][0] = 0
    path = tmp_path / "model"
    for change in ({"node_count": 10**6}, {"nodes": nodes}, {"nodes": circle}):
        model = RandomForestClassifier(1).fit(X, Y)
        content = pickle.dumps({"model": model, "tree": Reduced(cls, args, {**state, **change})})
        path.write_bytes(content)
        assert files.read_file(path).safe is False


def test_bombs_are_bounded(files: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.safe_pickle, "MAX_BYTES", 2**16)
    path = tmp_path / "model"
    for compression in ("zlib", "gzip", "bz2", "xz", "lzma"):
        joblib.dump({"model": forest(), "zeros": np.zeros(10**6)}, path, compress=(compression, 3))
        assert seen(files, path) == (False, False, False, [])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b"0" * 10**6)
    assert seen(files, path) == (False, False, False, [])


def test_arrays_of_objects_are_read_alike(
    files: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hidden = np.array([Reduced(os.system, (f"touch {MARK}",))], dtype=object)
    joblib.dump({"model": forest(), "x": hidden}, "model")
    assert seen(files, Path("model")) == (False, True, True, [FOREST])
    assert [*tmp_path.iterdir()] == [tmp_path / "model"]


# --- models of code ---------------------------------------------------------------------------------


class Lookup:
    """A model without an estimator."""

    def predict(self, rows: Any) -> Any:
        return [0] * len(rows)


class Holder:
    """One with one."""

    def __init__(self, held: Any) -> None:
        self.held = [held]

    def predict(self, rows: Any) -> Any:
        return [0] * len(rows)


def own(rows: Any) -> Any:
    return rows


def _by_value(model: Any) -> bytes:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        content: bytes = cloudpickle.dumps(model)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    return content


class Derived(RandomForestClassifier):  # type: ignore[misc]
    """A class of the script's own."""


MODELS: dict[str, tuple[Callable[[], Any], tuple[bool, bool, bool, list[str]]]] = {
    "bare": (forest, (True, True, True, [FOREST])),
    "pipeline": (
        lambda: make_pipeline(StandardScaler(), forest()).fit(X, Y),
        PIPELINE,
    ),
    "columns": (
        lambda: make_pipeline(ColumnTransformer([("x", StandardScaler(), ["a"])]), forest()).fit(X, Y),
        PIPELINE,
    ),
    "ufunc": (
        lambda: make_pipeline(FunctionTransformer(np.log1p), forest()).fit(X, Y),
        PIPELINE,
    ),
    "function": (
        lambda: make_pipeline(FunctionTransformer(own), forest()).fit(X, Y),
        HELD,
    ),
    "search": (
        lambda: GridSearchCV(RandomForestClassifier(3), {"max_depth": [2, None]}, cv=2).fit(X, Y),
        (True, True, True, ["GridSearchCV", FOREST]),
    ),
    "dict": (lambda: {"scaler": StandardScaler().fit(X), "model": forest()}, (True, True, True, [FOREST])),
    "with pandas": (lambda: {"columns": X.columns, "model": forest()}, (False, True, True, [FOREST])),
    "words": (lambda: forest().fit(X, Y.map({0: "no", 1: "yes"})), (True, True, True, [FOREST])),
    "other": (lambda: LogisticRegression().fit(X, Y), (True, True, True, [OTHER])),
    "boosting": (
        lambda: HistGradientBoostingClassifier(max_iter=2).fit(X, Y),
        (True, True, True, ["HistGradientBoostingClassifier"]),
    ),
    "holder": (lambda: Holder(forest()), (False, True, True, [FOREST])),
    "derived": (lambda: Derived(3).fit(X, Y), (False, True, True, [FOREST])),
    "lookup": (Lookup, (False, False, False, [])),
    "holder of another": (
        lambda: Holder(LogisticRegression().fit(X, Y)),
        (False, True, True, [OTHER]),
    ),
    "holder of none": (lambda: Holder(Lookup()), (False, False, False, [])),
    "not fitted": (RandomForestClassifier, (True, True, False, [FOREST])),
    "holder of one not fitted": (lambda: Holder(RandomForestClassifier()), (False, False, False, [])),
    "holder of a class": (lambda: Holder(RandomForestClassifier), (False, False, False, [])),
}


def _by_reference(model: Any, path: Path) -> None:
    """As a script pickles what it has imported: the class is a name, which only the script can look up."""
    path.write_bytes(pickle.dumps(model, 4))


class DerivedMore(RandomForestClassifier):  # type: ignore[misc]
    """One with a parameter of its own."""

    def __init__(self, n_estimators: int = 3, threshold: float = 0.5) -> None:
        super().__init__(n_estimators=n_estimators)
        self.threshold = threshold


class DerivedTrees(ExtraTreesClassifier):  # type: ignore[misc]
    """One of another ensemble of trees."""


class DerivedLogistic(LogisticRegression):  # type: ignore[misc]
    """One that holds no other estimator."""


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Derived(3).fit(X, Y), (False, True, True, [FOREST])),
        (lambda: DerivedMore().fit(X, Y), (False, True, True, [FOREST])),
        (lambda: make_pipeline(StandardScaler(), Derived(3)).fit(X, Y), (False, True, True, [FOREST])),
        (lambda: DerivedTrees(3).fit(X, Y), (False, True, True, ["ExtraTreesClassifier"])),
        (lambda: DerivedLogistic().fit(X, Y), (False, True, True, [OTHER])),
        (lambda: Derived(3), (False, False, False, [])),
        (lambda: Holder(Derived(3).fit(X, Y)), (False, True, True, [FOREST])),
        (Lookup, (False, False, False, [])),
    ],
)
def test_classes_of_the_scripts_own_by_reference(
    files: ModuleType,
    tmp_path: Path,
    make: Callable[[], Any],
    expected: tuple[bool, bool, bool, list[str]],
) -> None:
    _by_reference(make(), tmp_path / "model")
    assert seen(files, tmp_path / "model") == expected


@pytest.mark.parametrize(
    "change",
    [
        {"estimators_": []},
        {"estimators_": [LogisticRegression()]},
        {"estimators_": 1},
        {"__class__": 1},
        {"n_outputs_": 10**9},
        {"classes_": None},
    ],
)
def test_the_state_of_no_forest_is_none(files: ModuleType, tmp_path: Path, change: dict[str, Any]) -> None:
    model = Holder(1)
    model.__dict__ = {**forest().__dict__, **change}
    _by_reference(model, tmp_path / "model")
    assert FOREST not in seen(files, tmp_path / "model")[3]


# Those of boosting libraries, which candidates may have and this environment has not.


class Boosting:
    """Stands for a library: a model is the word `model`, and the number of its columns."""

    class Booster:
        def __init__(self, model_str: str = "") -> None:
            self.content = model_str

        def load_model(self, content: bytes) -> None:
            self.content = bytes(content).decode()

        def num_feature(self) -> int:
            word, number = self.content.split()
            if word != "model":
                raise ValueError("no model")
            return int(number)

        num_features = num_feature

        def predict(self, rows: Any, **_: Any) -> Any:
            return rows.sum(axis=1)

    DMatrix = np.asarray


BOOSTED: list[tuple[str, str, str, tuple[bool, bool, bool, list[str]], str]] = [
    ("xgboost", "model.ubj", "model 3", (False, True, True, ["xgboost"]), "xgboost"),
    ("xgboost", "model.json", "model 3", (False, True, True, ["xgboost"]), "xgboost"),
    ("lightgbm", "model.lgb", "model 12", (False, True, True, ["lightgbm"]), "lightgbm"),
    ("lightgbm", "model.lgb", "anything", (False, False, False, []), "lightgbm"),
    ("lightgbm", "model.lgb", "model 0", (False, False, False, []), "lightgbm"),
    ("lightgbm", "../model.lgb", "model 3", (False, False, False, []), "lightgbm"),
    ("keras", "model.keras", "model 3", (False, False, False, []), "keras"),
    ("pyfunc.model", "model.x", "model 3", (False, False, False, []), ""),
]


@pytest.fixture
def boosting(files: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("xgboost", "lightgbm"):
        monkeypatch.setitem(sys.modules, name, Boosting)
    monkeypatch.setattr(files.safe_pickle, "is_of_index", lambda _: True)


@pytest.mark.usefixtures("boosting")
@pytest.mark.parametrize(("flavor", "name", "content", "expected", "unread"), BOOSTED)
def test_boosters_in_formats_of_their_own(
    files: ModuleType,
    tmp_path: Path,
    flavor: str,
    name: str,
    content: str,
    expected: tuple[bool, bool, bool, list[str]],
    unread: str,
) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (top / name).write_text(content)
    function = f"{{loader_module: mlflow.{flavor}, data: {name}}}"
    (top / "MLmodel").write_text(f"flavors: {{python_function: {function}}}")
    told = files.inspect({"kind": "mlflow", "path": str(top)}, COLUMNS, ROWS)
    assert (seen(files, top, "mlflow"), told["flavor"]) == (expected, unread)


@pytest.mark.usefixtures("boosting")
@pytest.mark.parametrize(
    ("module", "name", "state", "expected"),
    [
        ("xgboost.core", "handle", bytearray(b"model 3"), (False, True, True, ["xgboost"])),
        ("lightgbm.basic", "_handle", "model 3", (False, True, True, ["lightgbm"])),
        ("lightgbm.basic", "_handle", "nothing", (False, False, False, [])),
        ("lightgbm.basic", "_handle", 3, (False, False, False, [])),
        ("lightgbm.other", "_handle", "model 3", (False, False, False, [])),
    ],
)
def test_boosters_in_pickles(
    files: ModuleType,
    tmp_path: Path,
    module: str,
    name: str,
    state: Any,
    expected: tuple[bool, bool, bool, list[str]],
) -> None:
    code = stated(f"c{module}\nBooster\n".encode() + b")\x81", {name: state, "other": 1})
    (tmp_path / "model").write_bytes(code)
    assert seen(files, tmp_path / "model") == expected


@pytest.mark.parametrize("name", MODELS)
def test_models(files: ModuleType, tmp_path: Path, name: str) -> None:
    make, expected = MODELS[name]
    path = tmp_path / "model"
    model = make()
    path.write_bytes(_by_value(model))
    assert seen(files, path) == expected
    if expected[0]:
        for compress in (0, 3, ("xz", 1)):
            joblib.dump(model, path, compress=compress)
            assert seen(files, path) == expected
        path.write_bytes(pickle.dumps(model, 2))
        assert seen(files, path) == expected


def test_a_forest_by_name_alone_is_none(files: ModuleType, tmp_path: Path) -> None:
    code = stated(CLASS + b")\x81", {"guess_": [1], "n_estimators": 3})
    (tmp_path / "model").write_bytes(code)
    assert seen(files, tmp_path / "model")[1:] == (False, False, [])


def test_skops(files: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "model"
    skops.io.dump(make_pipeline(StandardScaler(), forest()).fit(X, Y), path)
    assert seen(files, path) == PIPELINE
    skops.io.dump(make_pipeline(FunctionTransformer(own), forest()).fit(X, Y), path)
    assert seen(files, path) == (False, True, True, [FOREST])
    skops.io.dump(Lookup(), path)
    assert seen(files, path) == (False, False, False, [])
    with zipfile.ZipFile(path) as archive:
        schema = json.loads(archive.read("schema.json"))
    for change in ({"protocol": 0}, {"__module__": "os", "__class__": "system"}, {"__loader__": "Nothing"}):
        path.write_bytes(files.packed({**schema, **change}, {}))
        assert seen(files, path) == (False, False, False, [])


def mlflow_model(top: Path, content: bytes, description: str) -> Path:
    top.mkdir(exist_ok=True)
    (top / "model.pkl").write_bytes(content)
    (top / "MLmodel").write_text(description)
    return top


SKLEARN = "flavors: {sklearn: {pickled_model: model.pkl, serialization_format: cloudpickle%s}}"


def test_mlflow_models(files: ModuleType, tmp_path: Path) -> None:
    good, top = pickle.dumps(forest()), tmp_path / "model"
    lookup = _by_value(Lookup())
    expected: list[tuple[str, bytes, tuple[bool, bool, bool, list[str]]]] = [
        (SKLEARN % "", good, (True, True, True, [FOREST])),
        (SKLEARN % ", code: code", good, (False, True, True, [FOREST])),
        ("flavors: {python_function: {loader_module: evil}}", good, (False, True, True, [FOREST])),
        ("flavors: {sklearn: {pickled_model: model.pkl}, python_function: {loader_module: evil}}", good,
         (False, True, True, [FOREST])),
        ("flavors: {python_function: {loader_module: evil, code: code}}", lookup, (False, False, False, [])),
        ("flavors: {sklearn: {pickled_model: ../outside.pkl}}", lookup, (False, False, False, [])),
        ("!!python/object/apply:os.system [touch MARK]", good, (False, False, False, [])),
        ("[" * 5000, good, (False, False, False, [])),
        ("flavors: 1", good, (False, True, True, [FOREST])),
    ]  # fmt: skip
    (tmp_path / "outside.pkl").write_bytes(good)
    for description, content, told in expected:
        assert (description[:80], seen(files, mlflow_model(top, content, description), "mlflow")) == (
            description[:80], told
        )  # fmt: skip
