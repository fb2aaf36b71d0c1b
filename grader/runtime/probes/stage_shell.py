"""`stage_shell.py ADDRESS -c COMMAND`: the shell that `run_dvc.py` has DVC take.

Asks a process that has imported much already to run the command; where it will not, the usual shell does.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path

SHELLS = ("/bin/bash", "/bin/sh")
LOST = 70
"""Who ran the command was ended before it could say how that went."""


def usual_shell() -> str:
    """Where there is a choice, that of most people who write commands."""
    return next(path for path in SHELLS if Path(path).exists())


def ask(address: str, command: str) -> bytes:
    """How a command that was run ended; empty where it was not run."""
    asked = {"command": command, "cwd": str(Path.cwd()), "env": dict(os.environ)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        try:
            channel.connect(f"\0{address}")
            socket.send_fds(channel, [json.dumps(asked).encode()], [0, 1, 2])
            if not channel.recv(1):
                return b""
        except OSError:
            return b""
        return channel.recv(64) or str(LOST).encode()


def main(address: str, command: str) -> int:
    """The command's exit status, or its end by the signal that ended it."""
    os.environ["SHELL"] = usual_shell()
    answer = ask(address, command)
    if not answer:
        os.execv(os.environ["SHELL"], [os.environ["SHELL"], "-c", command])  # noqa: S606
    status = int(answer)
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[-1]))
