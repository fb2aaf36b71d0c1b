"""A Python that has imported much already and forks for every run, each into namespaces of its own.

    python server.py CONTROL MODULE...

CONTROL is a Unix socket of the grader. After the imports, one message says what they were; then every one
that comes in brings the descriptors of one run, whose request follows on one of them. A program finds things
as a new interpreter would have them (`probes/program.py`). Runs in the candidate's Python, so also an older
one.
"""

from __future__ import annotations

import array
import atexit
import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
import warnings
from typing import Any

BEFORE = frozenset(sys.modules)
if not getattr(sys.flags, "safe_path", False):
    sys.path.pop(0)
PATH = list(sys.path)
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), "/grader/inside"]

import program  # type: ignore[import-not-found]  # noqa: E402, I001  (first, for its exit handler)
import inherited  # type: ignore[import-not-found]  # noqa: E402
import init  # type: ignore[import-not-found]  # noqa: E402
import namespaces  # type: ignore[import-not-found]  # noqa: E402
import relay  # type: ignore[import-not-found]  # noqa: E402

for _name in ("program", "inherited", "init", "namespaces", "relay", "system_calls"):
    del sys.modules[_name]  # a candidate may have modules of these names
sys.path[:] = PATH

Request = dict[str, Any]
MAX_DESCRIPTORS = 16
MAX_COPIED = 8 << 20
MADV_COLLAPSE = 25
COVER = "/grader"
INTEGER = struct.Struct("!I")
WORKSPACE: list[str] = []
"""In the process of a program: where it runs, as the beginning of a path."""


def finish() -> None:
    """End the process of a script without taking apart all that was imported ahead, which takes long.

    What is the script's own is taken apart: files that it left open are written, and finalizers run.
    """
    if not program.ended:
        return
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        setattr(sys, name, None)
    gc.collect()  # as Python does at its end: from now on files come before what they write to
    for name in [name for name, module in sys.modules.items() if name == "__main__" or is_own(module)]:
        del sys.modules[name]
    gc.collect()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except BaseException:
        return  # Python has something to say of that
    if program.ended != [program.INTERRUPTED]:  # by whose own handler, which is called next, it ends else
        os._exit(program.ended[0])


def is_own(module: object) -> bool:
    """Whether a module is the submission's."""
    return str(getattr(module, "__file__", None) or "").startswith(WORKSPACE[0])


atexit.register(finish)  # before all that is imported ahead, and so the last to be called


def main() -> int:
    """Import, then serve until the grader is gone; in the process of a run, its exit status."""
    os.chdir("/")
    reserve_answer()
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.connect(sys.argv[1])
    before = dict(os.environ)
    noisy = [name for name in sys.argv[2:] if preload(name)]
    modules = sorted({name.partition(".")[0] for name in sys.modules} - BEFORE)
    added = {name: value for name, value in os.environ.items() if before.get(name) != value}
    told = {"noisy": noisy, "modules": modules, "threads": threading.active_count()}
    gc.collect()
    gc.freeze()
    inherited.keep_memory_private()
    collapse()
    control.send(json.dumps(told).encode())
    while True:
        message, ancillary, _, _ = control.recvmsg(64, socket.CMSG_SPACE(MAX_DESCRIPTORS * 4))
        if not message:
            return 0
        descriptors = received(ancillary)
        child = os.fork()
        if child == 0:
            control.close()
            return run(descriptors, added)
        for descriptor in descriptors:
            os.close(descriptor)
        os.waitpid(child, 0)


def reserve_answer() -> None:
    """Let nothing that is imported have the number of a run's answer."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    if nothing != init.ANSWER:
        os.dup2(nothing, init.ANSWER, inheritable=False)
        os.close(nothing)


def collapse() -> None:
    """Have the kernel keep our memory in large pages, where it can: forks then have much less to copy."""
    try:
        libc = ctypes.CDLL(None)
        with open("/proc/self/maps") as maps:
            regions = [line.split() for line in maps]
        for place, rights, _, _, _, *path in regions:
            if rights == "rw-p" and (not path or path == ["[heap]"]):
                start, end = (int(number, 16) for number in place.split("-"))
                libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_COLLAPSE)
    except (OSError, AttributeError, ValueError):
        pass


def preload(name: str) -> bool:
    """Import a module if it can be; whether it warned, which a script that imports it would then miss."""
    heard: list[object] = []
    show = warnings.showwarning

    def hear(*warning: object, **more: object) -> None:
        heard.append((warning, more))

    warnings.showwarning = hear
    try:
        importlib.import_module(name)
    except BaseException:  # noqa: S110  (a script that needs it will say so itself)
        pass
    finally:
        if warnings.showwarning is hear:
            warnings.showwarning = show
    return bool(heard)


def received(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors that came with a message."""
    found = array.array("i")
    for _, _, data in ancillary:
        found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def run(descriptors: list[int], added: dict[str, str]) -> int:
    """Leave for namespaces of our own; the grandchild is the first process in them, its child the script."""
    channel_number, out, err, status, *inbound = descriptors
    channel = socket.socket(fileno=channel_number)
    request = receive(channel)
    answer = inbound.pop(0) if request["answer"] else None
    inherited.replace_descriptors({*range(init.ANSWER + 1), *descriptors})
    request["env"] = {
        **added,
        **request["env"],
    }  # libraries set variables for themselves when they are imported
    try:
        namespaces.leave()
        if os.fork():
            os._exit(0)
        channel.send(b"!")  # tells our process id, which only the kernel knows in the grader's terms
        servers = mount_filesystem(request)
    except BaseException as error:
        channel.send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        os._exit(1)
    listeners = array.array("i", [server.fileno() for server in servers])
    ready = json.dumps({"ready": len(servers)}).encode()
    channel.sendmsg([ready], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, listeners)] if servers else [])
    for server in servers:
        server.close()
    if channel.recv(1) != b"!":
        os._exit(1)
    channel.close()
    return begin(request, (out, err), status, answer, inbound)


def receive(channel: socket.socket) -> Request:
    """Read a request: its length, then its JSON."""
    data = b""
    while len(data) < INTEGER.size or len(data) < INTEGER.size + INTEGER.unpack_from(data)[0]:
        chunk = channel.recv(1 << 16)
        if not chunk:
            os._exit(1)
        data += chunk
    request: Request = json.loads(data[INTEGER.size :])
    return request


def mount_filesystem(request: Request) -> list[socket.socket]:
    """The mounts, the loopback and the ports of a run; then no privilege is left."""
    home_files = read_home_files(request["home"])
    namespaces.show([tuple(bind) for bind in request["binds"]], COVER)
    namespaces.cover_with_memory(request["memory"], request["scratch_bytes"], request["kept"])
    for path, content in home_files.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    namespaces.mount_processes()
    namespaces.raise_loopback()
    servers = [server for port in request["outbound"] for server in relay.listen(port)]
    namespaces.drop_capabilities()
    namespaces.forbid_system_calls()
    return servers


def read_home_files(home: str) -> dict[str, bytes]:
    """What the imports left in the home, where those who look for it again expect it."""
    found: dict[str, bytes] = {}
    size = 0
    for top, _, names in os.walk(home):
        for name in names:
            path = os.path.join(top, name)
            if os.path.isfile(path) and not os.path.islink(path):
                size += os.path.getsize(path)
                if size > MAX_COPIED:
                    return {}
                with open(path, "rb") as file:
                    found[path] = file.read()
    return found


def begin(
    request: Request, streams: tuple[int, int], status: int, answer: int | None, inbound: list[int]
) -> int:
    """As `init.main` does: the first process relays, reaps and tells; its child returns to run the script."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    namespaces.set_reachable(False)
    child = os.fork()
    if child == 0:
        namespaces.set_reachable(True)  # as after an exec
        for number, stream in enumerate(streams, start=1):
            os.dup2(stream, number)
        if answer is None:
            os.close(init.ANSWER)
        else:
            os.dup2(answer, init.ANSWER)
            os.close(answer)
        for descriptor in {*streams, status, *inbound} - {1, 2}:
            os.close(descriptor)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return exec_in_place(request)
    init.tell(status, started=child)
    for descriptor in streams if answer is None else (*streams, answer):
        os.close(descriptor)
    silence()
    for port, number in zip(request["inbound"], inbound):  # noqa: B905  (Python 3.10)
        threading.Thread(target=relay.answer, args=(socket.socket(fileno=number), port), daemon=True).start()
    ended = init.reap(child)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    init.tell(status, ended=ended, cpu_seconds=spent.ru_utime + spent.ru_stime)
    os._exit(0)


def silence() -> None:
    """The first process holds no stream of the run, nor any of the process that it was forked from."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    os.close(nothing)


def exec_in_place(request: Request) -> int:
    """Run the program in this process, which then ends as its own would: through Python's own end."""
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    WORKSPACE.append(request["cwd"] + os.sep)
    init.limit(request["rlimits"])
    os.setsid()
    reseed()
    sys.path[:] = PATH
    forget_places(request["cwd"])
    status: int = program.run(request["argv"])
    return status


def reseed() -> None:
    """Chance must not repeat from run to run. The standard library sees to itself after a fork."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def forget_places(workspace: str) -> None:
    """What the import system knows of directories that were not there or empty when it looked."""
    known = sys.path_importer_cache
    for path in [name for name, finder in known.items() if finder is None or name.startswith(workspace)]:
        del known[path]


if __name__ == "__main__":
    sys.exit(main())
