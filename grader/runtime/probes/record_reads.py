"""Run a Python program as usual, and report how many rows pandas reads at a time.

`record_reads.py src/x.py WORDS` or `record_reads.py -m src.x WORDS`, instead of the interpreter. It answers
a line for each piece of a CSV file: {"path", "rows"}. Nothing is known of a program that needs an interpreter
of its own (see `program.is_imitated`).

A process apart holds the descriptor of the answer; the program has a socket to it, which takes messages and
cannot be opened by a path. The program's process is this one, so that it begins and ends as it does without.
"""

import importlib.util
import json
import os
import signal
import socket
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import parent  # type: ignore[import-not-found]  # (beside this file)
import program  # type: ignore[import-not-found]

WATCHED = "pandas.io.parsers.readers"
ANSWER = 3
MAX_READS = 10_000
MAX_MESSAGE = 2**13
WAIT_SECONDS = 5.0


class Finder:
    """Wraps the loader of the one module that it waits for, and steps aside."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """Return the watched module's spec with a wrapped loader; None for every other module."""
        if name != WATCHED:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:
            load = loader.exec_module

            def exec_module(module: types.ModuleType) -> None:
                load(module)
                watch(module, self.connection)

            loader.exec_module = exec_module
        return spec


def watch(module: types.ModuleType, connection: socket.socket) -> None:
    """Have pandas' reader tell what it read."""
    reader: Any = getattr(module, "TextFileReader", None)
    begin, read = getattr(reader, "__init__", None), getattr(reader, "read", None)
    if begin is None or read is None:
        return
    left = [MAX_READS]

    def begun(self: Any, f: Any, *args: Any, **kwargs: Any) -> None:
        self._recorded = f
        begin(self, f, *args, **kwargs)

    def recorded(self: Any, *args: Any, **kwargs: Any) -> Any:
        frame = read(self, *args, **kwargs)
        left[0] -= 1
        if left[0] > 0:
            note(connection, getattr(self, "_recorded", None), len(frame))
        return frame

    reader.__init__, reader.read = begun, recorded


def note(connection: socket.socket, source: Any, rows: int) -> None:
    """Tell of one read, and wait until it is written: this process may end at once."""
    name = source if isinstance(source, str | os.PathLike) else getattr(source, "name", "")
    path = str(Path(name).resolve()) if isinstance(name, str | os.PathLike) and name else ""
    try:
        connection.send(json.dumps({"path": path, "rows": rows}).encode())
        connection.recv(1)
    except OSError:  # the program closed it: what is not recorded is not known
        pass


def collect(connection: socket.socket) -> None:
    """Write down what is told, until nobody is left to tell anything."""
    for _ in range(MAX_READS):
        said = connection.recv(MAX_MESSAGE)
        if not said:
            return
        os.write(ANSWER, said.replace(b"\n", b" ") + b"\n")
        try:
            connection.send(b".", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            continue


def begin_record() -> socket.socket:
    """Leave a process behind that writes the answer: no child of this one, which may wait for its own."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = parent.fork()
    if child == 0:
        try:
            if parent.fork() == 0:
                parent.prctl(parent.DUMPABLE, 0)
                os.setsid()
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                ours.close()
                nothing = os.open(os.devnull, os.O_RDWR)
                for number in range(3):
                    os.dup2(nothing, number)
                collect(theirs)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    theirs.close()
    os.close(ANSWER)
    ours.settimeout(WAIT_SECONDS)
    return ours


if __name__ == "__main__":
    record = begin_record()
    parent.forget_neighbours()
    if WATCHED in sys.modules:
        watch(sys.modules[WATCHED], record)
    else:
        sys.meta_path.insert(0, Finder(record))
    sys.path.remove(str(Path(__file__).absolute().parent))
    sys.exit(program.run([sys.orig_argv[0], *sys.argv[1:]]))
