"""The first program of a container: becomes `init.py` with descriptors that the grader hands it.

    enter.py SOCKET

So that output and request go straight to the grader, past the engine, which would keep a copy of all output.
The grader sends the descriptors, and as many numbers: which each is to be. Standard library only.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import init  # type: ignore[import-not-found]  # (beside this file, wherever that is mounted)

MAX_DESCRIPTORS = 64
BEYOND = 512
"""No number that the grader asks for is so high, and no limit of a container so low."""


def main() -> None:
    """Wait for the descriptors, put each in its place, go on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.connect(sys.argv[1])
        numbers, ancillary, _, _ = control.recvmsg(4096, socket.CMSG_SPACE(MAX_DESCRIPTORS * 4))
    received = array.array("i")
    for _, _, data in ancillary:
        received.frombytes(data[: len(data) - len(data) % received.itemsize])
    if not received:
        sys.exit("the grader went away")
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, BEYOND) for descriptor in received]
    for descriptor in received:
        os.close(descriptor)
    for descriptor, number in zip(moved, map(int, numbers.split()), strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    init.main()


if __name__ == "__main__":
    main()
