"""What `python WORD...` does once the interpreter is up, done in an interpreter that is up already.

Whoever stands in for a new interpreter does it here: a warm interpreter's forks, the stages that DVC runs, a
program whose reads are recorded. Where CPython has a function for a step, that function takes it, so that
arguments, `sys.path`, `__main__`, tracebacks and the exit status are its own. A file, a directory or a zip
file with a `__main__.py`, and `-m MODULE` are run; for all other words, options above all, this process
becomes a new interpreter. What is left of a difference: frames of the caller lie beneath the program's.

Standard library only; runs in the candidate's Python, so also an older one. Import it before all that may
register exit handlers.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib.util
import os
import signal
import sys
import types
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = -signal.SIGINT
"""The status of a program that nothing kept from a `KeyboardInterrupt`: it ends by the signal."""
ended: list[int] = []
"""When a program has run, and before exit handlers are called: its exit status, or `INTERRUPTED`."""
_SET_BY_INTERPRETER = frozenset(vars(sys.modules["__main__"]))
"""Names in `__main__`: which of them the interpreter sets differs from version to version."""
_FILE_INPUT = 257
_display = sys.excepthook
_libc = ctypes.CDLL(None, use_errno=True)
_python = ctypes.PyDLL(None)


def is_imitated(words: list[str]) -> bool:
    """Whether a program runs here, rather than in a new interpreter, when Python is called with these words.

    Files of bytecode are not imitated either: `run` tells them by their content, as Python does.
    """
    if words[:1] == ["-m"]:
        return len(words) > 1
    return bool(words) and words[0] != "" and not words[0].startswith("-") and not words[0].endswith(".pyc")


def run(argv: list[str]) -> int:
    """Run a program in the current directory, as a new interpreter would that is called in this way.

    `sys.path` is expected as the interpreter has it without a program. The caller's last deed is to exit with
    the status; where the program was interrupted, the process ends by the signal nevertheless.

    Args:
        argv: the interpreter by the name or path that it is called by, then its words.

    Returns:
        The exit status.
    """
    name, *words = argv
    if not is_imitated(words) or (words[0] != "-m" and _is_bytecode(words[0])):
        _flush()
        os.execvp(name, argv)  # noqa: S606
    ended.append(_run(name, words))
    return max(ended[0], 0)


def _run(name: str, words: list[str]) -> int:
    """The status of a program that has run; nothing remains of it but what it has put elsewhere."""
    _be_called(name)
    sys.orig_argv = [name, *words]
    sys.argv = ["-m", *words[2:]] if words[0] == "-m" else list(words)
    sys.path_importer_cache.pop(getattr(sys.modules["__main__"], "__file__", ""), None)
    main = _new_main()
    if words[0] == "-m":
        _put_first(os.getcwd())
        sys.audit("cpython.run_module", words[1])
        return _outcome(_run_module, words[1], True)
    path = _absolute(words[0])
    if _python_object("PyImport_GetImporter", path) is not None:
        sys.path.insert(0, path)
        sys.audit("cpython.run_module", "__main__")
        return _outcome(_run_module, "__main__", False)
    _put_first(os.path.dirname(os.path.realpath(words[0])))
    sys.audit("cpython.run_file", path)
    return _run_file(main, name, path)


# --- before the program ---------------------------------------------------------------------------


def _is_bytecode(path: str) -> bool:
    """Whether Python takes a file for compiled code: by two bytes of it, whatever its name."""
    try:
        with open(path, "rb") as file:
            return file.read(2) == importlib.util.MAGIC_NUMBER[:2]
    except OSError:
        return False


def _be_called(name: str) -> None:
    """Have the names of the interpreter that follow from how it is called, as `python3` for `python`."""
    places = [""] if os.sep in name else os.get_exec_path()
    for path in (os.path.abspath(os.path.join(place, name)) for place in places):
        if os.path.isfile(path) and os.access(path, os.X_OK):
            break
    else:
        return
    if path == sys.executable or os.path.dirname(path) != os.path.dirname(sys.executable):
        return
    base = os.path.join(os.path.dirname(sys._base_executable), os.path.basename(path))  # type: ignore[attr-defined]
    if os.path.isfile(base):
        sys._base_executable = base  # type: ignore[attr-defined]
    sys.executable = path


def _new_main() -> types.ModuleType:
    """A `__main__` as it is before a program comes to it."""
    module = types.ModuleType("__main__")
    if "__annotations__" in _SET_BY_INTERPRETER:
        module.__annotations__ = {}
    module.__dict__["__builtins__"] = sys.modules["builtins"]
    module.__loader__ = sys.modules["_frozen_importlib"].BuiltinImporter
    sys.modules["__main__"] = module
    return module


def _absolute(path: str) -> str:
    """Unlike `os.path.abspath`, which also takes out `..` and doubled slashes."""
    if path == "." and sys.version_info >= (3, 11):
        return os.getcwd()
    return os.path.join(os.getcwd(), path)


def _put_first(folder: str) -> None:
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, folder)


# --- the program ----------------------------------------------------------------------------------


def _run_module(name: str, is_named: bool) -> None:
    import runpy

    runpy._run_module_as_main(name, is_named)  # type: ignore[attr-defined]


def _run_file(main: types.ModuleType, name: str, path: str) -> int:
    _libc.fopen.restype = ctypes.c_void_p
    file = _libc.fopen(os.fsencode(path), b"rbe")
    if not file:
        number = ctypes.get_errno()
        _say(f"{name}: can't open file {path!r}: [Errno {number}] {os.strerror(number)}\n")
        return 2
    if os.path.isdir(path):
        _libc.fclose(ctypes.c_void_p(file))
        _say(f"{name}: {path!r} is a directory, cannot continue\n")
        return 1
    from importlib.machinery import SourceFileLoader

    names = vars(main)
    names["__file__"] = path
    if "__cached__" in _SET_BY_INTERPRETER:
        names["__cached__"] = None
    names["__loader__"] = SourceFileLoader("__main__", path)
    try:
        return _outcome(_execute, file, path, names)
    finally:
        names.pop("__file__", None)
        names.pop("__cached__", None)


def _execute(file: int, path: str, names: dict[str, Any]) -> None:
    """Closes the file before the program runs, and flushes the streams after it."""
    scope = ctypes.py_object(names)
    words = (ctypes.c_void_p(file), os.fsencode(path), _FILE_INPUT, scope, scope, 1, None)
    try:
        _python_object("PyRun_FileExFlags", *words)
    finally:
        _flush()


def _python_object(function: str, *arguments: Any) -> Any:
    """What a function of CPython's returns, as a new reference."""
    call = getattr(_python, function)
    call.restype = ctypes.py_object
    return call(*(ctypes.py_object(each) if type(each) is str else each for each in arguments))


# --- its end --------------------------------------------------------------------------------------


def _outcome(step: Callable[..., None], *arguments: object) -> int:
    """The status after a step; says what Python says of an exception that nobody caught."""
    caught = _raised(step, *arguments)
    try:
        return _status(caught[0]) if caught else 0
    finally:
        caught.clear()  # its frames refer to this one, and would live on with all that they hold


def _status(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return _exit_status(error)
    if (status := _print(error)) is not None:
        return status
    return INTERRUPTED if type(error) is KeyboardInterrupt else 1


def _raised(step: Callable[..., object], *arguments: object) -> list[BaseException]:
    """What a step raises, if anything, with none of our frames, and not being handled any more."""
    try:
        step(*arguments)
    except BaseException as error:
        return [error.with_traceback(_without_ours(error.__traceback__))]
    return []


def _without_ours(trace: types.TracebackType | None) -> types.TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


def _exit_status(error: SystemExit) -> int:
    """The status of an exit; says why, where that is no number."""
    code: object = error
    with suppress(BaseException):  # then the exception itself is what there is to say
        code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return int.__and__(code, 0xFF) if -(2**63) <= int(code) < 2**63 else 0xFF
    with suppress(BaseException):  # Python leaves that out, too
        _say(str(code))
    _say("\n")
    return 1


def _print(error: BaseException) -> int | None:
    """As `PyErr_Print`, which Python code cannot call with an exception; a status where a hook exits."""
    kind, trace = type(error), error.__traceback__
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    hook = getattr(sys, "excepthook", None)
    sys.audit("sys.excepthook", hook, kind, error, trace)
    if hook is None:
        _say("sys.excepthook is missing\n")
        _display(kind, error, trace)
        return None
    for failure in _raised(hook, kind, error, trace):
        if isinstance(failure, SystemExit):
            return _exit_status(failure)
        _say("Error in sys.excepthook:\n")
        _display(type(failure), failure, failure.__traceback__)
        _say("\nOriginal exception was:\n")
        _display(kind, error, trace)
    return None


def _say(text: str) -> None:
    if sys.stderr is None:
        os.write(2, text.encode())
    else:
        sys.stderr.write(text)


def _flush() -> None:
    for stream in (sys.stderr, sys.stdout):
        with suppress(Exception):  # what is left is told when Python ends
            stream.flush()


def _end_interrupted() -> None:
    if ended == [INTERRUPTED]:
        _flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)


atexit.register(_end_interrupted)  # called after the program's own handlers, which are registered later
