"""A program is run as a new interpreter runs it: every kind of call both ways, compared whole."""

from __future__ import annotations

import compileall
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

import grader.runtime.probes
from grader.runtime.probes.program import is_imitated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

pytestmark = pytest.mark.slow
PROBES = Path(grader.runtime.probes.__file__).parent
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
}
STAND_IN = f"""
import sys
path = sys.path[not getattr(sys.flags, "safe_path", False):]
sys.path.insert(0, {os.fspath(PROBES)!r})
import program
del sys.modules["program"]
sys.path[:] = path
sys.exit(program.run([sys.orig_argv[0], *sys.argv[1:]]))
"""
FACTS = """
    '''Doc.'''
    import os, sys, sysconfig
    main = sys.modules["__main__"]
    print(__name__, __file__, __doc__, repr(__package__), __cached__, __annotations__)
    print(__spec__ and {name: str(value).partition(" at ")[0] for name, value in vars(__spec__).items()})
    print(type(__loader__), str(vars(__loader__)).partition("_files")[0])
    print(list(globals()), type(__builtins__), vars(main) is globals(), list(vars(main)) == list(globals()))
    print(sys.argv, sys.orig_argv, sys.path, sys.flags, sys.warnoptions, sys._xoptions)
    print(sys.executable, sys._base_executable, sys.prefix, sys.base_prefix, sysconfig.get_paths())
    print({name: finder for name, finder in sys.path_importer_cache.items() if finder is None})
    print(sys.exc_info(), hasattr(sys, "last_value"), sys.excepthook is sys.__excepthook__, os.getcwd())
    print(sys.getrecursionlimit(), sys.gettrace(), sys.getprofile(), sys.stdout.line_buffering)
"""
ENDS = {
    "nothing": "",
    "facts": FACTS,
    "text without a newline": "print('x', end='')",
    "error": "print('first')\ndef f():\n    raise ValueError('no')\nf()",
    "error on several lines": "value = [\n    1,\n    undefined_name,\n]",
    "cause and context": "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('x') from e",
    "group": "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
    "note": "e = ValueError('x')\ne.add_note('a note')\nraise e",
    "base exception": "class E(BaseException): pass\nraise E('base')",
    "generator exit": "raise GeneratorExit",
    "unprintable error": "class E(Exception):\n    def __str__(self): 1 / 0\nraise E",
    "syntax": "print('never')\ndef broken(:\n    pass",
    "indentation": "if 1:\n    a\n  b",
    "tabs": "if 1:\n        a = 1\n\tb = 2",
    "exit": "raise SystemExit",
    "exit with a number": "import sys; print('out'); sys.exit(3)",
    "exit with a negative": "import sys; sys.exit(-1)",
    "exit with more than a byte": "import sys; sys.exit(256 + 7)",
    "exit with True": "import sys; sys.exit(True)",
    "exit with text": "import sys; print('out'); sys.exit('why')",
    "exit with nothing to say": "import sys; sys.exit('')",
    "exit with a list": "import sys; sys.exit([1, 2])",
    "exit with a float": "import sys; sys.exit(2.0)",
    "exit with several": "raise SystemExit(1, 2)",
    "exit with a subclass": "class E(SystemExit): pass\nraise E(4)",
    "exit with a strange code": "class E(SystemExit):\n    code = 'strange'\nraise E(3)",
    "exit by site": "exit(5)",
    "exit in a function": "def f():\n    try: raise SystemExit(6)\n    finally: print('x')\nf()",
    "exit without streams": "import sys; sys.stdout = sys.stderr = None; sys.exit('unheard')",
    "exit at once": "import os; print('lost'); os._exit(5)",
    "interrupt": "import atexit; atexit.register(print, 'bye'); print('x'); raise KeyboardInterrupt",
    "interrupt by signal": "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(1)",
    "interrupt caught": "try:\n    raise KeyboardInterrupt\nexcept BaseException as e:\n    print(repr(e))",
    "kind of interrupt": "class K(KeyboardInterrupt): pass\nraise K('x')",
    "interrupt and a hook": "import sys; sys.excepthook = lambda *a: sys.exit(9)\nraise KeyboardInterrupt",
    "signal": "import os; print('lost'); os.kill(os.getpid(), 15)",
    "hook": "import sys; sys.excepthook = lambda *a: print('hook', a[0], sys.exc_info()); raise ValueError",
    "hook that fails": "import sys\ndef hook(*a):\n    1 / 0\nsys.excepthook = hook\nraise ValueError('x')",
    "hook that exits": "import sys; sys.excepthook = lambda *a: sys.exit('left'); raise ValueError('x')",
    "hook that fails late": "import sys\ndef f(): [][0]\nsys.excepthook = lambda *a: f()\n1 / 0",
    "no hook": "import sys; del sys.excepthook; raise ValueError('x')",
    "hook that is no function": "import sys; sys.excepthook = 3; raise ValueError('x')",
    "what is kept of an error": """
        import atexit, sys, traceback
        def tell():
            print(sys.last_type, sys.last_value, getattr(sys, "last_exc", None))
            traceback.print_tb(sys.last_traceback, file=sys.stdout)
        atexit.register(tell)
        {}[1]
    """,
    "exit handlers": """
        import atexit, sys
        atexit.register(lambda: print(sorted(globals())))
        atexit.register(lambda: print("first", file=sys.stderr))
        atexit.register(divmod, 1, 0)
        print("last line")
    """,
    "handler that exits": "import atexit, sys; atexit.register(sys.exit, 7); print('x')",
    "thread": "import threading\nthreading.Timer(0.1, print, ['late']).start()\nprint('early')",
    "thread that fails": "import threading\nt = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
    "finalizer": "class A:\n    def __del__(self): print('gone', __name__)\na = A()",
    "finalizer after an error": "class A:\n    def __del__(self): print('gone')\na = A()\nraise ValueError",
    "finalizer before the end": """
        import atexit
        class A:
            def __del__(self): print("gone")
        def f():
            a = A()
            raise SystemExit(2)
        atexit.register(print, "handler")
        f()
    """,
    "stdout closed": "import sys; print('x'); sys.stdout.close()",
    "descriptor closed": "import os; os.close(1); print('x')",
    "stdout full": "import sys; sys.stdout = open('/dev/full', 'w'); print('x')",
    "descriptor full": "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1); print('x')",
    "streams in turn": "import sys\nfor n in range(3): print(n); print(n, file=sys.stderr)\nraise ValueError",
    "warning": "import warnings; warnings.warn('w'); warnings.warn('d', DeprecationWarning)",
    "main is importable": "import __main__, pickle\nclass A: pass\nprint(pickle.loads(pickle.dumps(A)) is A)",
    "processes": """
        import multiprocessing
        def double(x): return 2 * x
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(double, [1, 2]))
    """,
    "no flags of ours": "def f(x: int): pass\nprint(f.__annotations__)",
    "argument parser": "import argparse; argparse.ArgumentParser().parse_args(['--no'])",
    "fork": "import os\nif not os.fork(): exit(5)\nprint(os.waitstatus_to_exitcode(os.wait()[1]))",
    "fork that is interrupted": """
        import os
        if not os.fork(): raise KeyboardInterrupt
        print(os.waitstatus_to_exitcode(os.wait()[1]))
    """,
}
"""What a program does -> its code; each is run as a script and as a module."""
if sys.version_info < (3, 12):  # later ones report these errors once more while they end
    ENDS |= {
        "exit with a huge number": "import sys; sys.exit(2**70)",
        "exit with a huge negative": "import sys; sys.exit(-2**70)",
        "exit with what cannot be shown": "class A:\n    def __str__(self): 1 / 0\nraise SystemExit(A())",
        "exit without a code": "class E(SystemExit):\n    code = property(lambda self: 1 / 0)\nraise E(3)",
    }
BYTES = {
    "mark of UTF-8": b"\xef\xbb\xbfprint('\xc3\xa9')",
    "declared encoding": b"# -*- coding: latin-1 -*-\nprint('\xe9')",
    "declared on the second line": b"#!/usr/bin/env python\n# vim: set fileencoding=cp1252 :\nprint('\x80')",
    "mark that contradicts": b"\xef\xbb\xbf# coding: latin-1\nprint(1)",
    "unknown encoding": b"# coding: no-such-thing\nprint(1)",
    "no UTF-8": b"x = 1\nprint('\xe9')",
    "no UTF-8 in a comment": b"# \xe9\nprint(1)",
    "lines of Windows": b"print(1)\r\nif 1:\r\n    raise ValueError\r\n",
    "lines of old Macs": b"print(1)\rprint(2)\r",
    "null byte": b"print(1)\nx = '\x00'\n",
    "form feed": b"print(1)\n\x0cprint(2)\n",
    "end of file": b"print(1)\n\x1aprint(2)\n",
    "no end of line": b"if 1:\n    print(1)",
    "open bracket": b"print(1",
    "open string": b"x = '''\n",
}
"""Sources whose bytes matter."""
LATE = {"exit handlers", "handler that exits"}
"""Told on standard error before the output of a module is flushed: here that is flushed first."""
NEIGHBOUR = "print(__name__, __file__)"
LAYOUT: Mapping[str, str] = {
    "tool.py": FACTS,
    "src/tool.py": FACTS + "    import neighbour",
    "src/neighbour.py": NEIGHBOUR,
    "src/no_suffix": FACTS,
    "src/names.pyc.py": FACTS,
    "ü ö/t ö.py": FACTS,
    "-m.py": FACTS,
    "package/__init__.py": "print('init', __name__)",
    "package/__main__.py": FACTS,
    "package/part.py": FACTS + "    from . import other\n    1 / 0",
    "package/other.py": NEIGHBOUR,
    "package/broken.py": "def (",
    "package/exits.py": "import sys; sys.exit('from a module')",
    "package/interrupts.py": "print('x'); raise KeyboardInterrupt",
    "bare/inner/__init__.py": "",
    "broken_package/__init__.py": "raise ValueError('init')",
    "broken_package/part.py": "",
    "needs/__init__.py": "",
    "needs/part.py": "import no_such_module",
    "folder/__main__.py": FACTS + "    import other",
    "folder/other.py": NEIGHBOUR,
    "empty/text": "",
    "namespace/part.py": FACTS,
}
"""What the calls below find."""
CALLS: Mapping[str, Sequence[str]] = {
    "script": ["tool.py"],
    "script with arguments": ["src/tool.py", "--flag", "-m", "ü", "", "a b"],
    "dots in the path": ["./src/../src/tool.py"],
    "doubled slashes": ["src//tool.py"],
    "leading dot": ["./src/tool.py"],
    "absolute": ["{here}/src/tool.py"],
    "absolute with dots": ["{here}/src/../tool.py"],
    "no suffix": ["src/no_suffix"],
    "suffix within": ["src/names.pyc.py"],
    "odd characters": ["ü ö/t ö.py"],
    "name like an option": ["./-m.py"],
    "link to a script": ["link.py"],
    "link in another folder": ["links/tool.py"],
    "folder that is a link": ["linked/tool.py"],
    "missing": ["none.py"],
    "missing folder": ["none/none.py", "x"],
    "missing and absolute": ["/none/ü.py"],
    "broken link": ["broken.py"],
    "below a file": ["tool.py/x.py"],
    "no right to read": ["locked.py"],
    "folder without a main": ["empty"],
    "folder": ["folder", "x"],
    "folder with a slash": ["folder/"],
    "here": ["."],
    "zip file": ["program.zip", "x"],
    "zip file by another name": ["program", "x"],
    "zip file without a main": ["nothing.zip"],
    "bytecode": ["tool.pyc", "x"],
    "bytecode by another name": ["compiled", "x"],
    "module": ["-m", "tool", "x"],
    "module of a package": ["-m", "package.part", "x", "-m"],
    "package": ["-m", "package", "x"],
    "package in a package": ["-m", "bare.inner"],
    "package without a main": ["-m", "src"],
    "namespace package": ["-m", "namespace.part"],
    "module of the library": ["-m", "this"],
    "module of the library with arguments": ["-m", "json.tool", "--help"],
    "missing module": ["-m", "none"],
    "missing module of a package": ["-m", "package.none"],
    "missing package": ["-m", "none.none"],
    "broken module": ["-m", "package.broken"],
    "broken package": ["-m", "broken_package.part"],
    "module that needs another": ["-m", "needs.part"],
    "module that exits": ["-m", "package.exits"],
    "module that is interrupted": ["-m", "package.interrupts"],
    "module with a suffix": ["-m", "tool.py"],
    "module by a path": ["-m", "src/tool"],
    "module without a name": ["-m", ""],
    "relative module": ["-m", ".tool"],
    "module in C": ["-m", "sys"],
    "option without its module": ["-m"],
    "module glued to the option": ["-mpackage.other"],
    "command": ["-c", "import sys; print(sys.argv, sys.path[0], __name__)", "x"],
    "unbuffered": ["-u", "tool.py"],
    "optimized": ["-O", "tool.py"],
    "warnings as errors": ["-W", "error", "-X", "utf8", "tool.py"],
    "isolated": ["-I", "tool.py"],
    "standard input": ["-"],
    "nothing": [],
    "version": ["-V"],
    "unknown option": ["--none"],
    "end of options": ["--", "tool.py"],
    "no name at all": [""],
}


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stand-in") / "stand_in.py"
    path.write_text(STAND_IN)
    return path


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("layout")
    for name, code in LAYOUT.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(dedent(code))
    for name, target in {
        "link.py": "src/tool.py",
        "links/tool.py": "../link.py",
        "linked": "src",
        "broken.py": "none.py",
    }.items():
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).symlink_to(target)
    (here / "locked.py").touch(0)
    for name, members in {"program.zip": ("__main__.py", "other.py"), "nothing.zip": ("other.py",)}.items():
        with zipfile.ZipFile(here / name, "w") as archive:
            for member in members:
                archive.write(here / "folder" / member, member)
    (here / "program").write_bytes((here / "program.zip").read_bytes())
    compileall.compile_file(here / "tool.py", legacy=True, quiet=1)
    (here / "compiled").write_bytes((here / "tool.pyc").read_bytes())
    return here


def outcome(
    argv: Sequence[str | Path], here: Path, env: Mapping[str, str], *, together: bool, answer: bool = False
) -> tuple[int, bytes, bytes | None]:
    """How a call ends, with its streams apart or in one; where it may answer, it does so to nobody."""
    words = [os.fspath(word) for word in argv]
    run = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" 3>/dev/null', "sh", *words] if answer else words,
        cwd=here,
        env={**ENVIRONMENT, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
        timeout=60,
        check=False,
    )
    return run.returncode, run.stdout, run.stderr


def same(
    stand_in: Path,
    here: Path,
    words: Sequence[str],
    *,
    name: str = sys.executable,
    env: Mapping[str, str] | None = None,
    together: Sequence[bool] = (False, True),
) -> int:
    """The status of a call, which comes to the same here and in a new interpreter."""
    for streams in together:
        real = outcome([name, *words], here, env or {}, together=streams)
        assert outcome([name, stand_in, *words], here, env or {}, together=streams) == real
    return real[0]


@pytest.mark.parametrize("what", ENDS)
@pytest.mark.parametrize("words", [["program.py", "x"], ["-m", "program", "x"]], ids=["script", "module"])
def test_how_a_program_begins_and_ends(
    stand_in: Path, tmp_path: Path, what: str, words: Sequence[str]
) -> None:
    (tmp_path / "program.py").write_text(dedent(ENDS[what]))
    late = what in LATE and words[0] == "-m"
    same(stand_in, tmp_path, words, together=[False] if late else [False, True])


@pytest.mark.parametrize("what", BYTES)
def test_sources_whose_bytes_matter(stand_in: Path, tmp_path: Path, what: str) -> None:
    (tmp_path / "program.py").write_bytes(BYTES[what])
    same(stand_in, tmp_path, ["program.py"])


@pytest.mark.parametrize("what", CALLS)
def test_ways_to_call_a_program(stand_in: Path, layout: Path, what: str) -> None:
    same(stand_in, layout, [word.format(here=layout) for word in CALLS[what]])


@pytest.mark.parametrize("name", ["python", "python3", f"{Path(sys.executable).parent}/python3"])
def test_names_of_the_interpreter(stand_in: Path, layout: Path, name: str) -> None:
    for words in (["tool.py"], ["-m", "tool"], ["none.py"], ["-m", "none"]):
        same(stand_in, layout, words, name=name)


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONSAFEPATH": "1"},
        {"PYTHONPATH": "src"},
        {"PYTHONOPTIMIZE": "2"},
        {"PYTHONWARNINGS": "error"},
        {"PYTHONUNBUFFERED": "1"},
        {"PYTHONNODEBUGRANGES": "1"},
    ],
)
def test_variables_that_the_interpreter_obeys(stand_in: Path, layout: Path, env: Mapping[str, str]) -> None:
    for words in (["tool.py"], ["src/tool.py"], ["-m", "package.part"]):
        same(stand_in, layout, words, env=env)


def test_an_interrupt_ends_by_its_signal(stand_in: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("raise KeyboardInterrupt")
    assert same(stand_in, tmp_path, ["program.py"]) == -signal.SIGINT


@pytest.mark.parametrize(
    ("words", "imitated"),
    [
        (["tool.py"], True),
        (["folder", "-c"], True),
        (["-m", "tool", "-u"], True),
        (["-m"], False),
        (["-mtool"], False),
        (["-c", "1"], False),
        (["-"], False),
        (["-u", "tool.py"], False),
        (["--", "tool.py"], False),
        (["tool.pyc"], False),
        ([""], False),
        ([], False),
    ],
)
def test_what_starts_anew(words: list[str], imitated: bool) -> None:
    assert is_imitated(words) is imitated


@pytest.mark.parametrize(
    "what", ["script with arguments", "module of a package", "missing", "missing module"]
)
def test_a_program_whose_reads_are_recorded(layout: Path, what: str) -> None:
    argv: list[str | Path] = [sys.executable, PROBES / "record_reads.py", *CALLS[what]]
    for together in (False, True):
        real = outcome([sys.executable, *CALLS[what]], layout, {}, together=together)
        assert outcome(argv, layout, {}, together=together, answer=True) == real


@pytest.mark.parametrize("what", ["error", "exit with text", "interrupt", "exit handlers", "hook that fails"])
def test_how_a_program_ends_whose_reads_are_recorded(tmp_path: Path, what: str) -> None:
    (tmp_path / "program.py").write_text(dedent(ENDS[what]))
    argv: list[str | Path] = [sys.executable, PROBES / "record_reads.py", "program.py"]
    for together in (False, True):
        real = outcome([sys.executable, "program.py"], tmp_path, {}, together=together)
        assert outcome(argv, tmp_path, {}, together=together, answer=True) == real
