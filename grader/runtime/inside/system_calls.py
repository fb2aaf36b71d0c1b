"""The system calls that no program of a run may make, as a filter in the kernel. Standard library only.

Denied are ways to another process's memory and descriptors, to what the kernel keeps outside of namespaces
and limits (keyrings, segments of memory that no process need hold, rings of requests), and to mounts, modules
and namespaces, for which a run has no privilege anyway: a mistake of the kernel's there is out of reach too.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NEW_USER = 0x10000000
_NUMBERS = {  # audit architecture, then the numbers of clone, unshare, socket and prlimit64
    "x86_64": (0xC000003E, 56, 272, 41, 302),
    "aarch64": (0xC00000B7, 220, 97, 198, 261),
}
_REFUSED = {  # name: its number on x86_64, on aarch64
    "ptrace": (101, 117),
    # Not process_vm_readv and _writev: by them `watch_make.py` sees what make runs. The kernel lets nobody
    # use them on a process that is kept out of reach, as process 1 and the parents of probes are.
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "fanotify_init": (300, 262),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "setns": (308, 268),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "acct": (163, 89),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "vhangup": (153, 58),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
}
_ABSENT = {  # programs then do without, as on a kernel that never had it
    "clone3": (435, 435),  # its flags cannot be seen by a filter; the C library falls back to clone
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
}
FAMILIES = (1, 2, 10, 16)
"""Of sockets: Unix, IPv4, IPv6 and netlink. Some others, such as the host's of a virtual machine, know no
namespaces."""
_OTHER_ABI = 0x40000000
"""From this number on: x32, which names each call otherwise."""
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x50000
_REFUSAL, _NO_SPACE, _NOT_THERE, _NO_FAMILY = 1, 28, 38, 97
_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16


def program(machine: str) -> bytes:
    """The filter for a kind of machine; nothing where it is not known."""
    if machine not in _NUMBERS:
        return b""
    column = list(_NUMBERS).index(machine)
    architecture, clone, unshare, socket, prlimit = _NUMBERS[machine]
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _OTHER_ABI),
        (_RETURN, 0, 0, _KILL),
    ]
    for calls, error in ((_REFUSED, _REFUSAL), (_ABSENT, _NOT_THERE)):
        code += _any_of((numbers[column] for numbers in calls.values()), _FAIL | error)
    code += [
        (_EQUAL, 0, 4, prlimit),
        (_LOAD, 0, 0, _ARGUMENT),
        (_EQUAL, 0, 1, 1),  # process 1 could not report any more, and it belongs to the same user
        (_RETURN, 0, 0, _FAIL | _REFUSAL),
        (_RETURN, 0, 0, _ALLOW),
        (_EQUAL, 0, len(FAMILIES) + 3, socket),
        (_LOAD, 0, 0, _ARGUMENT),
        *((_EQUAL, len(FAMILIES) - number, 0, family) for number, family in enumerate(FAMILIES)),
        (_RETURN, 0, 0, _FAIL | _NO_FAMILY),
        (_RETURN, 0, 0, _ALLOW),
        (_EQUAL, 1, 0, clone),
        (_EQUAL, 0, 2, unshare),
        (_LOAD, 0, 0, _ARGUMENT),
        (_ANY_BIT, 1, 0, NEW_USER),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL | _NO_SPACE),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def _any_of(numbers: Iterable[int], action: int) -> list[tuple[int, int, int, int]]:
    """Instructions that end with an action where the call is one of these."""
    asked = list(numbers)
    code = [(_EQUAL, len(asked) - 1 - index, 0, number) for index, number in enumerate(asked)]
    code[-1] = (_EQUAL, 0, 1, asked[-1])
    return [*code, (_RETURN, 0, 0, action)]
