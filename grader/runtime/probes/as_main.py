"""Run a script or a module in a process that is no new interpreter, as `python WORDS` would run it."""

import sys
import types
from pathlib import Path


def run(module: types.ModuleType, words: list[str]) -> None:
    """What the interpreter does with these words."""
    if words[0] == "-m":
        import runpy

        sys.argv = ["-m", *words[2:]]
        sys.path[0] = str(Path.cwd())
        runpy._run_module_as_main(words[1])  # type: ignore[attr-defined]
        return
    path = Path(words[0]).absolute()
    sys.argv = list(words)
    sys.path[0] = str(path.resolve().parent)
    module.__dict__.update(__file__=str(path), __builtins__=sys.modules["builtins"])
    code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    exec(code, vars(module))  # noqa: S102


def main(words: list[str]) -> int:
    """Run, and report an exception as if nothing stood before the program's own frames."""
    sys.modules.pop(__name__, None)  # a candidate may have a module of this name
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        run(module, words)
    except Exception as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 1
    return 0
