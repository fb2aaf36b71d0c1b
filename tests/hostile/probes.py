"""Probes: attempts to reach something that is no candidate's business, each a few lines of Python.

A file `fixtures/hostile/probes/*.yaml` maps a name to

    why         what is behind it
    code        it calls `pwned` where it gets there, and may raise OSError
    root        only root gets there where no sandbox is
    optional    it depends on the kernel whether one gets there at all
    alone       where no sandbox is, process 1 must be one that may be attacked
    handed      where no sandbox is, a folder is handed on as a descriptor

All of them are made from every program of a submission, each in a process of its own; then the program goes
on to do its honest work, so that every point must still be earned.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent, indent
from typing import TYPE_CHECKING

import yaml

from tests.hostile.attacks import FOLDER, PRELUDE, Attack

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[2]
SECRET = "HOSTILE_SECRET"
PROBES_FILE = "odd_probes.py"
CARRIERS = {
    "src/train.py": "3.1",
    "src/query_best.py": "3.2",
    "src/register_model.py": "3.3",
    "src/api.py": "4.1",
    "tests/conftest.py": "5.2",
    "src/detect_drift.py": "6.2",
    "src/batch_score.py": "B1",
    "src/preprocess.py": "2.2",
}
"""Program -> the task in which it is run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """An attempt; the fields are explained above."""

    name: str
    why: str
    code: str
    root: bool = False
    optional: bool = False
    alone: bool = False
    handed: bool = False


@cache
def load_probes() -> tuple[Probe, ...]:
    """All of them, in order of name."""
    found = {
        name: Probe(name=name, **data)
        for path in sorted((FOLDER / "probes").glob("*.yaml"))
        for name, data in yaml.safe_load(path.read_text("utf-8")).items()
    }
    return tuple(found[name] for name in sorted(found))


@dataclass(frozen=True, slots=True)
class Witness:
    """Things of the machine that a probe can only see from outside of a sandbox."""

    folder: Path
    port: int
    name: str
    key: int

    @property
    def names(self) -> str:
        """Python that tells a probe where they are."""
        return dedent(f"""\
            WITNESS, STARTED = {os.getpid()}, {_started(os.getpid())!r}
            OUTSIDE, CHECKOUT = {str(self.folder)!r}, {str(CHECKOUT)!r}
            PORT, NAME, KEY = {self.port}, {self.name!r}, {self.key}
            """)


def _started(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


@contextmanager
def witness(folder: Path) -> Iterator[Witness]:
    """A file, sockets and shared memory of the machine, as long as probes look for them."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    (folder / "file").write_text("x")
    name, key = f"hostile-{os.getpid()}", os.getpid() | 0x40000000
    libc = ctypes.CDLL(None, use_errno=True)
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for address in (f"\0{name}", str(folder / "socket")):
            listening = stack.enter_context(socket.socket(socket.AF_UNIX))
            listening.bind(address)
            listening.listen()
        (folder / "socket").chmod(0o777)
        shared = Path("/dev/shm", name)
        shared.write_text("x")
        stack.callback(shared.unlink)
        segment = libc.shmget(key, 4096, 0o1666)
        assert segment >= 0
        stack.callback(libc.shmctl, segment, 0, None)
        yield Witness(folder, server.getsockname()[1], name, key)


def attempt_outside(probe: Probe, there: Witness) -> str:
    """What a probe says where no sandbox is."""
    code = (
        f"{PRELUDE}{_NAMES}{there.names}"
        f"try:\n{indent(probe.code, '    ')}\nexcept OSError as error: say(error)\n"
    )
    words = [sys.executable, "-B", "-c", code]
    if probe.alone:
        # A shell that waits for its child is process 1.
        as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
        words = [
            "unshare",
            *as_root,
            "--pid",
            "--fork",
            "--mount-proc",
            "sh",
            "-c",
            '"$@"; exit',
            "sh",
            *words,
        ]
    handle = os.open(there.folder, os.O_RDONLY)
    try:
        done = subprocess.run(
            words,
            env={**os.environ, SECRET: "x"},
            cwd=there.folder,
            pass_fds=[handle] if probe.handed else [],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(handle)
    return done.stdout + done.stderr


_NAMES = """\
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
FOUND = []
for name in os.listdir("/proc/self/fd"):
    try:
        if int(name) > 2: FOUND.append((os.readlink(f"/proc/self/fd/{name}"), os.fstat(int(name)).st_mode, 0))
    except OSError:
        pass
"""


def all_probes(there: Witness) -> Attack:
    """The submission that makes every probe from every program, and then works honestly."""
    return Attack(
        name="probes",
        why="Every probe, from every program.",
        seen="Each of them is also made where no sandbox is.",
        tasks=tuple(dict.fromkeys(CARRIERS.values())),
        before=dict.fromkeys(CARRIERS, _CARRIER),
        edits=({"file": PROBES_FILE, "write": _program(there)},),
        seconds=500,
    )


_CARRIER = f"""\
exec(compile(open({PROBES_FILE!r}).read(), {PROBES_FILE!r}, "exec"), {{"__name__": "probes"}})
"""


def _program(there: Witness) -> str:
    made = "".join(
        f"def probe():\n{indent(probe.code, '    ')}\nPROBES[{probe.name!r}] = probe\n"
        for probe in load_probes()
    )
    return f"{PRELUDE}{_NAMES}{there.names}PROBES = {{}}\n{made}{_DRIVER}"


_DRIVER = """
import select, signal, time
os.environ.setdefault("LANG", "C")
read, write = os.pipe()
children = []
sys.stdout.flush(), sys.stderr.flush()
for name, probe in PROBES.items():
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        def pwned(*words, name=name):
            os.write(write, f"PWNED {name}: {' '.join(map(str, words))}\\n"[:200].encode())
        try:
            probe()
        except BaseException:
            pass
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
os.close(write)
said = b""
while data := os.read(read, 65536):
    said += data
os.close(read)
if said:
    say(said.decode())
    time.sleep(0.1)
    os._exit(7)
"""
