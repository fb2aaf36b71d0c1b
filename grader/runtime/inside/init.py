"""The first process in a sandbox: limits, relays, then the command; reaps, and says how the command ended.

Reads its request as JSON from standard input and answers in lines of JSON on a descriptor of its own.
Standard library only, and little of it: every run waits for this to start. As process 1 of its namespace it
cannot be killed from within, and everything in the namespace ends with it.
"""

from __future__ import annotations

import _thread
import fcntl
import json
import os
import resource
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import relay  # type: ignore[import-not-found]  # (beside this file, wherever that is mounted)

DUMPABLE = 4  # PR_SET_DUMPABLE
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
ANSWER = 3
"""The descriptor on which a command that may answer does so."""


def main() -> None:
    """Carry out the request on standard input."""
    request = json.load(sys.stdin)
    os.chdir(request["cwd"])  # failing here is ours, failing after the fork would be the command's
    keep_descriptors_to_ourselves()
    keep_out_of_reach()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if request["lifeline"] is not None:
        adopt_orphans()
    servers = [
        (server, path) for port, path in request["outbound"].items() for server in relay.listen(int(port))
    ]
    child = os.fork()
    if child == 0:
        execute(request)
    os.chdir("/")
    tell(request["status"], started=child)
    if request.get("answer") is not None:
        os.close(request["answer"])  # the command alone has it
    for server, path in servers:
        _thread.start_new_thread(relay.forward, (server, path))
    for port, number in request["inbound"].items():
        _thread.start_new_thread(relay.answer, (socket.socket(fileno=number), int(port)))
    if request["lifeline"] is not None:
        _thread.start_new_thread(end_with_parent, (request["lifeline"],))
    ended = reap(child)
    if request["lifeline"] is not None:
        end_descendants()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    tell(request["status"], ended=ended, cpu_seconds=spent.ru_utime + spent.ru_stime)
    os._exit(0)


def execute(request: dict) -> None:  # type: ignore[type-arg]
    """Become the command."""
    request["status"] = fcntl.fcntl(request["status"], fcntl.F_DUPFD_CLOEXEC, ANSWER + 1)
    try:
        prepare(request)
        os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606
    except (OSError, ValueError) as error:
        tell(request["status"], error=getattr(error, "strerror", None) or str(error))
    finally:
        os._exit(127)


def prepare(request: dict) -> None:  # type: ignore[type-arg]
    """Give this process what a command may expect: a session, its input, its limits, default signals."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(request.get("stdin", nothing), 0)
    if nothing:
        os.close(nothing)
    if request.get("answer") is not None:
        os.dup2(request["answer"], ANSWER)
        os.set_inheritable(ANSWER, True)  # also where it had that number already
    os.umask(0o022)
    limit(request["rlimits"])
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores some: programs expect not
        signal.signal(number, signal.SIG_DFL)


def limit(limits: dict[str, tuple[int, int]]) -> None:
    """Set limits by name, as far as those that hold here already allow."""
    for name, (soft, hard) in limits.items():
        which = getattr(resource, name)
        most = resource.getrlimit(which)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)  # noqa: PLW2901
        resource.setrlimit(which, (soft, hard))


def reap(child: int) -> int:
    """Wait for the command, and for whatever else ends meanwhile; minus the signal that ended it."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def tell(descriptor: int, **facts: object) -> None:
    """One line to the grader."""
    os.write(descriptor, json.dumps(facts).encode() + b"\n")


def keep_descriptors_to_ourselves() -> None:
    """Let the command inherit nothing but its three streams."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2:
                os.set_inheritable(int(name), False)
        except OSError:
            continue  # the one that listed them


def keep_out_of_reach() -> None:
    """Let no other process of the same user look into this one: memory, descriptors, directories.

    What the command becomes by its exec is as reachable as any program.
    """
    import _ctypes  # ctypes itself takes longer to import than all that this process does

    prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]
    if _ctypes.call_function(prctl, (DUMPABLE, 0, 0, 0, 0)):
        raise OSError("cannot keep others out of the first process")


def adopt_orphans() -> None:
    """Without a namespace of processes, become the parent of whatever the command leaves behind."""
    import ctypes

    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def end_with_parent(lifeline: int) -> None:
    """Wait until the grader is gone, however it went, then end everything."""
    while os.read(lifeline, 1):
        pass
    end_descendants()
    os._exit(0)


def end_descendants() -> None:
    """Kill and reap until nobody is left; orphans come to us, so each round may show new ones."""
    deadline = time.monotonic() + 5
    while (pids := descendants(os.getpid())) and time.monotonic() < deadline:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def descendants(root: int) -> list[int]:
    """Every process under one."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/children") as children:
                    young = [int(word) for word in children.read().split()]
                found += young
                waiting += young
        except OSError:
            continue
    return found


if __name__ == "__main__":
    main()
