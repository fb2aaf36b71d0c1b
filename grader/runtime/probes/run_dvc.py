"""Run `dvc WORD...` as DVC's own program does, and its stages without importing anew what is imported here.

Request: {"words": ["repro"], "environment": {variable: value, ...}}, the variables for DVC and its stages.
There is no answer. Where the interpreter has imported much ahead (`runtime/warm`), a process that
was forked before DVC came runs those commands of stages that are nothing but a Python script; it is asked by
the shell that DVC takes (`stage_shell.py`), which runs every other command as it always would.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import program  # type: ignore[import-not-found]  # (beside this file)
from stage_shell import usual_shell  # type: ignore[import-not-found]  # (beside this file)

IMPORTED_AHEAD = "mlflow"
MINDFUL = b"pytest"
"""What behaves otherwise when others' modules were imported before it."""
SPECIAL = re.compile(r"[;&|<>()$`\\*?\[\]{}#~!\n]")
"""What makes a command more than words."""
OF_SHELLS = {"SHELL", "SHLVL", "PWD", "OLDPWD", "_"}
MOST = 2**20
ACCEPTED = b"!"

Asked = dict[str, Any]


def unlock() -> None:
    """A run that was stopped at its limit, and is run once more, leaves locks of dead processes."""
    for name in ("lock", "rwlock"):
        Path(".dvc/tmp", name).unlink(missing_ok=True)


def shell(folder: str, address: str) -> str:
    """A program to take for $SHELL."""
    path = Path(folder, "sh")
    asks = Path(__file__).with_name("stage_shell.py")
    path.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-IS", str(asks), address])} "$@"\n')
    path.chmod(0o755)
    return str(path)


# --- the process that runs scripts ----------------------------------------------------------------


def serve(server: socket.socket, path: list[str]) -> int:
    """Run what is asked for, one after the other; in the process of a script, its exit status."""
    ours = dict(os.environ)
    while True:
        channel, _ = server.accept()
        with channel:
            text, streams, _, _ = socket.recv_fds(channel, MOST, 3)
            asked = json.loads(text)
            words = script(asked)
            if words and is_known(asked["env"], ours):
                channel.send(ACCEPTED)
                child = os.fork()
                if not child:
                    server.close()
                    channel.close()
                    return exec_in_place(words, asked, streams, path)
                _, status = os.waitpid(child, 0)
                channel.send(str(os.waitstatus_to_exitcode(status)).encode())
        for stream in streams:
            os.close(stream)


def is_known(env: dict[str, str], ours: dict[str, str]) -> bool:
    """Whether all variables that libraries look at are those with which they were imported."""
    new = {name for name in {*env, *ours} if env.get(name) != ours.get(name)}
    return all(name in OF_SHELLS or name.startswith("DVC_") for name in new)


def script(asked: Asked) -> list[str]:
    """The words, where a command is just a script of the submission for Python; else nothing."""
    if SPECIAL.search(asked["command"]):
        return []
    try:
        words = shlex.split(asked["command"])
    except ValueError:
        return []
    if len(words) < 2 or not is_ours(words[0], asked["env"].get("PATH", "")):
        return []
    if not program.is_imitated(words[1:]):
        return []
    file = Path(asked["cwd"], words[1])
    if words[1] == "-m":
        file = Path(asked["cwd"], *words[2].split(".")).with_suffix(".py")
    if file.suffix != ".py" or not file.is_file():
        return []
    return [] if MINDFUL in file.read_bytes() else words


def is_ours(name: str, path: str) -> bool:
    """Whether a command is the Python that runs here."""
    found = shutil.which(name, path=path) if name in {"python", "python3"} else None
    return found is not None and Path(found).parent == Path(sys.executable).parent


def exec_in_place(words: list[str], asked: Asked, streams: list[int], path: list[str]) -> int:
    """Run `python WORD...` in this process, which then ends as that would."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # the standard library sees to itself after a fork
    sys.path[:] = path
    output: Any = sys.stdout
    output.reconfigure(line_buffering=output.isatty())
    status: int = program.run(words)
    return status


# --- DVC ------------------------------------------------------------------------------------------


def run_dvc(words: list[str]) -> int:
    """What the program `dvc` does."""
    from dvc.cli import main

    sys.argv = ["dvc", *words]
    return int(main(words))


def main(request: dict[str, Any]) -> int:
    """DVC's exit status; in the process of a script, the script's."""
    unlock()
    os.environ.update(request["environment"], SHELL=usual_shell())
    sys.dont_write_bytecode = True
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.reconfigure(line_buffering=True)
    path = sys.path[1:]  # without the folder of this file
    if IMPORTED_AHEAD not in sys.modules:
        sys.path[:] = path
        return run_dvc(request["words"])
    address = f"stages-{os.getpid()}"  # abstract: it is the network namespace's own
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(f"\0{address}")
        server.listen()
        helper = os.fork()
        if not helper:
            return serve(server, path)
    sys.path[:] = path
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["SHELL"] = shell(folder, address)
            return run_dvc(request["words"])
    finally:
        os.kill(helper, signal.SIGKILL)
        os.waitpid(helper, 0)  # so that what its scripts took is counted


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
