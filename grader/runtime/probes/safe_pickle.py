"""Read a pickle without running what it says: only names of an allow-list are looked up, or even imported.

Those are estimators of scikit-learn and of imbalanced-learn, what they are made of, arrays, and plain values.
Functions that make, open, import or evaluate something are not among them. What else could be turned against
its reader is refused: state that is given to a class or a function, or twice to the same object; names with
two underscores, which the interpreter asks instances for; joblib's older formats; trees and arrays whose
sizes are not those of their data. joblib's arrays of objects, which it reads by plain means, are read alike.

With `lenient`, an unknown name becomes an inert stub that keeps what it is called with and what it is given,
so that an estimator which a script's own class holds can be found. No stub does anything.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import copyreg
import functools
import gzip
import importlib
import importlib.metadata
import io
import lzma
import pickle
import types
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_BYTES = 2**30
"""Of one file, decompressed."""
MAX_DEPTH = 20
"""Of pickles in pickles: arrays of objects in arrays of objects."""

PLAIN = {
    "builtins": {
        *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object"),
        *("set", "slice", "str", "tuple"),
    },
    "collections": {"Counter", "OrderedDict", "defaultdict", "deque"},
    "copyreg": {"_reconstructor", "__newobj__"},
    "datetime": {"date", "datetime", "timedelta"},
    "pathlib": {"Path", "PosixPath", "PurePosixPath"},
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"_reconstruct"},
    "numpy._core.multiarray": {"_reconstruct"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
    "numpy.ma.core": {"MaskedArray", "_mareconstruct"},
    "numpy.ma": {"MaskedArray"},
    "sklearn.compose._column_transformer": {"make_column_selector"},
    "sklearn.feature_selection._univariate_selection": {"chi2", "f_classif", "f_regression"},
    "sklearn.tree._tree": {"Tree"},
    "sklearn.utils": {"Bunch"},
    "sklearn.utils._bunch": {"Bunch"},
    "sklearn.metrics._scorer": {"_PassthroughScorer", "_PredictScorer", "_Scorer"},
    "sklearn.metrics._classification": {
        *("accuracy_score", "balanced_accuracy_score", "f1_score", "precision_score", "recall_score"),
    },
    "sklearn.metrics._ranking": {"roc_auc_score"},
    "sklearn.ensemble._hist_gradient_boosting.predictor": {"TreePredictor"},
    "sklearn.metrics._dist_metrics": {"EuclideanDistance", "EuclideanDistance64", "newObj"},
    "sklearn.neural_network._stochastic_optimizers": {"AdamOptimizer", "SGDOptimizer"},
    "sklearn.neighbors._ball_tree": {"BallTree", "BallTree64", "newObj"},
    "sklearn.neighbors._kd_tree": {"KDTree", "KDTree64", "newObj"},
    "sklearn.model_selection._split": {
        *("KFold", "RepeatedStratifiedKFold", "ShuffleSplit", "StratifiedKFold", "StratifiedShuffleSplit"),
    },
}
DISTRIBUTIONS = {
    "sklearn": ("scikit-learn",),
    "imblearn": ("imbalanced-learn",),
    "numpy": ("numpy",),
    "xgboost": ("xgboost", "xgboost-cpu"),
    "lightgbm": ("lightgbm",),
    "catboost": ("catboost",),
}
ESTIMATORS = ("sklearn", "imblearn")
FOREIGN_PARTS = {"conftest", "datasets", "experimental", "externals", "tests", "utils", "_build_utils"}
"""Parts of those packages that hold no estimators, but much else."""
UFUNC_MODULES = {"numpy", "numpy.core._multiarray_umath", "numpy._core._multiarray_umath"}
LINKS = ("BaseLink", "HalfLogitLink", "IdentityLink", "Interval", "LogLink", "LogitLink", "MultinomialLogit")
OLD_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class Refused(Exception):  # noqa: N818 - said of the pickle
    """The pickle asks for something that only running it would show."""


class Stub:
    """What an unknown name stands for: it keeps what it is given."""

    def __init__(self, name: str, held: tuple[Any, ...] = ()) -> None:
        """Nothing is looked up for `name`."""
        self.name = name
        self.held = [*held]

    def __call__(self, *args: Any, **kwargs: Any) -> Stub:
        """A thing that it would have made."""
        return Stub(f"{self.name}()", (*args, *kwargs.values()))

    def hold(self, *values: Any) -> None:
        """Keep them."""
        self.held.extend(values)

    append = add = hold
    __setitem__ = hold

    def extend(self, values: Any) -> None:
        """As a list would."""
        self.held.extend(values)

    def base(self) -> Any:
        """The estimator's class that a class made by cloudpickle derives from, if any."""
        for value in self.held:
            for each in value if isinstance(value, tuple) else ():
                if isinstance(each, type) and is_estimator(each):
                    return each
        return None


class Wrapper:
    """joblib's mark in the pickle for an array whose bytes follow in the file."""

    state: Any = None


def is_estimator(cls: type) -> bool:
    """Whether it derives from scikit-learn's base of all estimators."""
    return issubclass(cls, importlib.import_module("sklearn.base").BaseEstimator)


@functools.cache
def is_of_index(package: str) -> bool:
    """Whether the distribution was installed from an index rather than from a folder or an address."""
    for name in DISTRIBUTIONS[package]:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.distribution(name).read_text("direct_url.json") is None
    return False


def latin1(text: Any, encoding: str = "latin1") -> bytes:
    """What protocol 2 makes bytes with; of `codecs.encode` only that."""
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused(f"encodes {type(text).__name__} as {encoding!r}")
    return codecs.encode(text, encoding)


def scalar(dtype: Any, data: Any = b"") -> Any:
    """A number of numpy's, of its bytes."""
    if dtype.hasobject or not isinstance(data, bytes):
        raise Refused("a scalar of objects")
    numpy = importlib.import_module("numpy")
    if len(data) != dtype.itemsize:
        raise Refused("a scalar of another size than its type's")
    return numpy.frombuffer(data, dtype)[0]


def known(module: str, name: str) -> Any:  # noqa: PLR0912 - a ladder of cases
    """The object of an allowed name.

    Raises:
        Refused: the name is not allowed.
    """
    module = OLD_NAMES.get(module, module)
    if (module, name) == ("_codecs", "encode"):
        return latin1
    if (module, name) in {("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")}:
        return scalar
    if (module, name) == ("joblib.numpy_pickle", "NumpyArrayWrapper"):
        return Wrapper
    if module.startswith("numpy.random."):
        return Stub(module)  # a generator: what is asked of these models needs none
    top, *parts = module.split(".")
    if top in DISTRIBUTIONS and not is_of_index(top):
        raise Refused(f"{top} is not installed from an index")
    if name in PLAIN.get(module, ()):
        return getattr(importlib.import_module(module), name)
    if module in UFUNC_MODULES and name.isidentifier() and not name.startswith("_"):
        numpy = importlib.import_module("numpy")
        found = vars(numpy).get(name)
        if isinstance(found, numpy.ufunc):
            return found
        if isinstance(found, type) and issubclass(found, numpy.generic):
            return found
    if module.startswith("sklearn._loss.") and name.startswith(("__pyx_unpickle_Cy", "Cy", "Half", *LINKS)):
        return getattr(importlib.import_module(module), name)
    if module == "numpy.dtypes" and name.endswith("DType"):
        return getattr(importlib.import_module(module), name)
    if top in ESTIMATORS and name.isidentifier() and not FOREIGN_PARTS & set(parts):
        if not all(part.isidentifier() for part in parts):
            raise Refused(f"{module}.{name}")
        try:
            found = vars(importlib.import_module(module)).get(name)
        except ImportError as error:
            raise Refused(f"{module}.{name}: {error}") from None
        if isinstance(found, type) and is_estimator(found):
            return found
    raise Refused(f"{module}.{name}")


_Python: Any = vars(pickle)["_Unpickler"]
"""pickle's own in Python: that in C has no steps to override."""


class Unpickler(_Python):  # type: ignore[misc]
    """pickle's, in Python, less what runs code."""

    dispatch: ClassVar[dict[int, Any]] = dict(_Python.dispatch)

    def __init__(self, file: BinaryIO, *, lenient: bool, depth: int = 0) -> None:
        """Read from where `file` stands."""
        super().__init__(file)
        self.source = file
        self.lenient = lenient
        self.depth = depth
        self.built: dict[int, Any] = {}

    def find_class(self, module: Any, name: Any) -> Any:
        """An allowed object, or a stub."""
        try:
            return known(str(module), str(name))
        except Refused:
            if self.lenient:
                return Stub(f"{module}.{name}")
            raise

    def get_extension(self, code: int) -> None:
        """Codes stand for whatever somebody registered."""
        raise Refused(f"extension {code}")

    def persistent_load(self, _pid: Any) -> Any:
        """What an id stands for only its reader knows."""
        raise Refused("a persistent id")

    def load_reduce(self) -> None:
        """Call an allowed name."""
        args = self.stack.pop()
        self.stack[-1] = self.made(self.stack[-1], args, {})

    def load_newobj(self) -> None:
        """Make an instance of an allowed class."""
        args = self.stack.pop()
        self.stack[-1] = self.new(self.stack[-1], args, {})

    def load_newobj_ex(self) -> None:
        """The same with names."""
        kwargs = self.stack.pop()
        args = self.stack.pop()
        self.stack[-1] = self.new(self.stack[-1], args, kwargs)

    def made(self, function: Any, args: Any, kwargs: Any) -> Any:
        """What the call gives."""
        self.settle(args)
        if function is vars(copyreg)["__newobj__"] and args:
            return self.new(args[0], args[1:], kwargs)
        try:
            if isinstance(function, Stub) or _is_callable(function):
                return function(*args, **kwargs)
        except Refused:
            raise
        except Exception:
            if not self.lenient:
                raise
            return Stub(repr(function), tuple(args))
        raise Refused(f"calls {type(function).__name__}")

    def new(self, cls: Any, args: Any, kwargs: Any) -> Any:
        """An instance."""
        self.settle(args)
        if isinstance(cls, Stub):
            base = cls.base()
            return base.__new__(base) if base else cls(*args, **kwargs)
        if not isinstance(cls, type):
            raise Refused(f"an instance of {type(cls).__name__}")
        return cls.__new__(cls, *args, **kwargs)

    def load_build(self) -> None:
        """Give an instance its state."""
        state = self.stack.pop()
        inst = self.stack[-1]
        if isinstance(inst, Stub):
            inst.hold(state)
            return
        if isinstance(inst, Wrapper):
            self.stack[-1] = self.array(state)
            return
        if _is_callable(inst) or isinstance(inst, types.ModuleType):
            raise Refused(f"state for {inst!r}"[:200])
        if id(inst) in self.built:
            raise Refused(f"a second state for a {type(inst).__name__}")
        self.built[id(inst)] = inst
        for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
            named = part if isinstance(part, dict) and not _is_numpys(inst) else {}
            if any(not isinstance(key, str) or _is_dunder(key) for key in named):
                raise Refused(f"a {type(inst).__name__} with names of the interpreter's")
        self.settle(state)
        if type(inst).__name__ == "Tree":
            _check_tree(state)
        self.stack.append(state)
        super().load_build()
        if type(inst).__name__ == "Tree":
            _check_children(inst)

    def settle(self, value: Any, depth: int = 0) -> None:
        """Types of arrays that are in use change no more: sizes would no longer be those of their memory."""
        if type(value).__module__.startswith("numpy") and type(value).__name__.endswith(
            ("DType", "dtype", "dtype[void]")
        ):
            self.built[id(value)] = value
        elif isinstance(value, (tuple, dict)) and depth < 5 and len(value) < 10_000:
            for each in value.values() if isinstance(value, dict) else value:
                self.settle(each, depth + 1)

    def array(self, state: Any) -> Any:
        """The array whose bytes follow, by joblib's description of it."""
        numpy = importlib.import_module("numpy")
        shape, dtype = tuple(map(int, state["shape"])), state["dtype"]
        self.settle((dtype,))
        if not isinstance(dtype, numpy.dtype) or any(size < 0 for size in shape):
            raise Refused("an array of no type")
        if dtype.hasobject:
            if self.depth >= MAX_DEPTH:
                raise Refused("arrays in arrays without end")
            return Unpickler(self.source, lenient=self.lenient, depth=self.depth + 1).load()
        count = 1
        for size in shape:
            count *= size
        if state.get("numpy_array_alignment_bytes") is not None:
            self.source.read(self.source.read(1)[0])
        data = read(self.source, count * dtype.itemsize)
        array = numpy.frombuffer(data, dtype=dtype, count=count)
        return array.reshape(shape[::-1]).T if state.get("order") == "F" else array.reshape(shape)

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex
    dispatch[pickle.BUILD[0]] = load_build
    # Of classes before Python 3.
    del dispatch[pickle.INST[0]], dispatch[pickle.OBJ[0]]


def _is_callable(function: Any) -> bool:
    """A class, or a function that was looked up: no instance can come to be called."""
    plain = (type, types.FunctionType, types.BuiltinFunctionType)
    return isinstance(function, plain) or type(function).__name__ in {"ufunc", "cython_function_or_method"}


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _is_numpys(inst: Any) -> bool:
    """Whose state is no table of attributes."""
    return type(inst).__module__.partition(".")[0] == "numpy" or type(inst).__name__ == "Tree"


def _check_tree(state: Any) -> None:
    """What the compiled code takes on trust: as many nodes as it says."""
    count = state["node_count"]
    if not isinstance(count, int) or not 0 <= count == len(state["nodes"]) == len(state["values"]):
        raise Refused("a tree with another number of nodes than it says")


def _check_children(tree: Any) -> None:
    """Each node's children come after it, and it asks for a column that there is."""
    numpy = importlib.import_module("numpy")
    index, left, right = numpy.arange(tree.node_count), tree.children_left, tree.children_right
    inner = left != -1
    sound = (left[inner] > index[inner]).all() and (left[inner] < tree.node_count).all()
    sound = sound and (right[inner] > index[inner]).all() and (right[inner] < tree.node_count).all()
    features = tree.feature[inner]
    if not (sound and (features >= 0).all() and (features < tree.n_features).all()):
        raise Refused("a tree whose nodes lead nowhere")


def read(file: BinaryIO, count: int) -> bytes:
    """So many bytes, taking no memory for those that are not there.

    Raises:
        EOFError: there are fewer.
    """
    if not 0 <= count <= MAX_BYTES:
        raise Refused(f"{count} bytes"[:100])
    parts = []
    while count:
        part = file.read(min(count, 2**24))
        if not part:
            raise EOFError("the array's bytes end too early")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


class Bounded(io.RawIOBase):
    """A stream that gives so many bytes and no more, decompressed on the way."""

    def __init__(self, take: Callable[[int], bytes], file: BinaryIO) -> None:
        """Ask `take`, which reads from `file`, for each next piece."""
        self._take = take
        self._file = file
        self._left = MAX_BYTES

    def readable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Close what it reads from, too."""
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        """As `io` asks for it."""
        data = self._take(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise Refused(f"more than {MAX_BYTES} bytes")
        buffer[: len(data)] = data
        return len(data)


def _inflating(file: BinaryIO) -> Callable[[int], bytes]:
    """zlib's own format, which the standard library reads no files of."""
    inflater = zlib.decompressobj()

    def take(count: int) -> bytes:
        while not inflater.eof:
            source = inflater.unconsumed_tail or file.read(2**16)
            if not source:
                break
            data = inflater.decompress(source, count)
            if data:
                return data
        return b""

    return take


def opened(path: Path) -> io.BufferedReader:
    """The file's bytes, out of whichever compression joblib has put them in."""
    file = path.open("rb")
    head = file.peek(6)[:6]
    if head[:2] == b"ZF":
        file.close()
        raise Refused("joblib's format of before 2015")
    take: Callable[[int], bytes] = file.read
    if head[:2] == b"\x1f\x8b":
        take = gzip.GzipFile(fileobj=file).read
    elif head[:3] == b"BZh":
        take = bz2.BZ2File(file).read
    elif head == b"\xfd7zXZ\x00" or head[:3] == b"\x5d\x00\x00":
        take = lzma.LZMAFile(file).read  # noqa: SIM115 - closed with the stream
    elif head[:1] == b"\x78":
        take = _inflating(file)
    elif head[:4] == b"\x04\x22\x4d\x18":
        take = importlib.import_module("lz4.frame").LZ4FrameFile(file).read
    return io.BufferedReader(Bounded(take, file), 2**16)


def load(path: Path, *, lenient: bool = False) -> Any:
    """What the file holds.

    Raises:
        Refused: it asks for something outside of the allow-list. Others: it is no pickle.
    """
    with opened(path) as file:
        return Unpickler(file, lenient=lenient).load()
