"""Run a Python program as it always runs, and write down how many rows pandas reads at a time.

`record_reads.py src/x.py WORDS` or `record_reads.py -m src.x WORDS`, instead of the interpreter. For each
piece of a CSV file it adds a line to `reads.jsonl` beside itself: {"path", "rows"}.
"""

import importlib.util
import json
import os
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import as_main  # type: ignore[import-not-found]  # (beside this file)

WATCHED = "pandas.io.parsers.readers"
RECORD = Path(__file__).absolute().with_name("reads.jsonl")
MOST = 10_000


class Finder:
    """Wraps the loader of the one module that it waits for, and steps aside."""

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name != WATCHED:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:
            load = loader.exec_module

            def exec_module(module: types.ModuleType) -> None:
                load(module)
                watch(module)

            loader.exec_module = exec_module
        return spec


def watch(module: types.ModuleType) -> None:
    """Have pandas' reader tell what it read."""
    reader: Any = getattr(module, "TextFileReader", None)
    begin, read = getattr(reader, "__init__", None), getattr(reader, "read", None)
    if begin is None or read is None:
        return
    left = [MOST]

    def begun(self: Any, f: Any, *args: Any, **kwargs: Any) -> None:
        self._recorded = f
        begin(self, f, *args, **kwargs)

    def recorded(self: Any, *args: Any, **kwargs: Any) -> Any:
        frame = read(self, *args, **kwargs)
        left[0] -= 1
        if left[0] > 0:
            note(getattr(self, "_recorded", None), len(frame))
        return frame

    reader.__init__, reader.read = begun, recorded


def note(source: Any, rows: int) -> None:
    """Add a line; a record that cannot be written is none."""
    name = source if isinstance(source, str | os.PathLike) else getattr(source, "name", "")
    path = str(Path(name).resolve()) if isinstance(name, str | os.PathLike) and name else ""
    try:
        with RECORD.open("a", encoding="utf-8") as record:
            record.write(json.dumps({"path": path, "rows": rows}) + "\n")
    except OSError:
        pass


if __name__ == "__main__":
    if WATCHED in sys.modules:
        watch(sys.modules[WATCHED])
    else:
        sys.meta_path.insert(0, Finder())
    sys.exit(as_main.main(sys.argv[1:]))
