"""Start a program without any privilege in the kernel's eyes, where root runs the grader.

    lower.py UID COUNT SOURCE... PROGRAM ARGUMENT...

That user may not reach every file that the run is to see (below /root, say), so that root first mounts the
sources at /tmp/0, /tmp/1 and so on, in a namespace that only the program and its children see.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys

STAGE = "/tmp"  # noqa: S108  (ours alone: mounted over in a namespace of our own)
NEW_MOUNTS = 0x20000
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000
NO_DEVICES, NO_SET_USER = 4, 2


def main() -> None:
    """Follow the words of the command line."""
    user, count = int(sys.argv[1]), int(sys.argv[2])
    sources, program = sys.argv[3 : 3 + count], sys.argv[3 + count :]
    libc = ctypes.CDLL(None, use_errno=True)

    def call(result: int) -> None:
        if result:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
        words = (os.fsencode(word) for word in (source, target, kind))
        call(libc.mount(*words, ctypes.c_ulong(flags), options.encode()))

    call(libc.unshare(NEW_MOUNTS))
    mount("none", "/", "", RECURSIVE | PRIVATE)
    handles = [os.open(source, os.O_PATH | os.O_CLOEXEC) for source in sources]
    mount("tmpfs", STAGE, "tmpfs", NO_DEVICES | NO_SET_USER, "mode=0755,size=1m")
    for number, handle in enumerate(handles):
        target = f"{STAGE}/{number}"
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            os.mkdir(target)
        else:
            open(target, "x").close()
        mount(f"/proc/self/fd/{handle}", target, "", BIND | RECURSIVE)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.execv(program[0], program)  # noqa: S606


if __name__ == "__main__":
    main()
