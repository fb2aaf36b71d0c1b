"""The file system of a container: an image of links and empty directories, and what is mounted into it."""

from __future__ import annotations

import io
import json
import os
import resource
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader import docker_engine
from grader.runtime.inside.system_calls import FAMILIES
from grader.runtime.sandbox import paths
from grader.runtime.sandbox.bubblewrap.mounts import INSIDE, OWN_SETTINGS, SETTINGS, SYSTEM
from grader.runtime.sandbox.model import HOME, WORKSPACE, Job
from grader.runtime.sandbox.paths import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import docker
    from docker.types import Mount

    from grader.runtime.sandbox.limits import Limits

Shown = tuple[str, tuple[Path, bool]]
"""Where it is seen, where it is, and whether it may be written to."""
SOCKETS = "/grader/services"
CONTROL = "/grader/control"
ACCOUNTS = ("passwd", "group")
EMPTY = {"tmp": 0o1777, "sys": 0o555, HOME[1:]: 0o700} | dict.fromkeys(
    ("etc", "home", "proc", "run", "var", WORKSPACE[1:], "grader"), 0o755
)
"""With their modes, which a file system in memory takes over from where it is mounted."""
CLOSED = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/pressure", "/proc/sys", "/proc/sysrq-trigger")
"""Read-only inside: the engine's own list, and what it forgot."""
MASKED = (
    *("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/key-users", "/proc/keys", "/proc/kmsg"),
    *("/proc/latency_stats", "/proc/locks", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list"),
    *("/proc/timer_stats", "/sys/firmware"),
)
"""Empty inside: the engine's own list, and what else tells of other users' programs."""
CONTROL_GROUPS = "/sys/fs/cgroup"
MAX_QUEUES, MAX_SEMAPHORES = 32, 4096


def make_image(client: docker.DockerClient, use: str) -> str:
    """An image of a few bytes; its name."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, mode in EMPTY.items():
            _add(tar, name, tarfile.DIRTYPE, mode=mode)
        for name in SYSTEM:
            path = Path("/") / name
            if path.is_symlink():
                _add(tar, name, tarfile.SYMTYPE, os.fspath(path.readlink()))
        _add(tar, "var/tmp", tarfile.SYMTYPE, "../tmp")
    marks = [f'LABEL {name}="{value}"' for name, value in docker_engine.labels(use).items()]
    name = f"grader-sandbox:{use}"
    client.api.import_image_from_data(archive.getvalue(), repository="grader-sandbox", tag=use, changes=marks)
    return name


def _add(tar: tarfile.TarFile, name: str, kind: bytes, target: str = "", mode: int = 0o755) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, target, mode
    tar.addfile(member)


def memory(limits: Limits, user: int) -> dict[str, str]:
    """Private places to write, in memory and limited; and empty ones over what the engine would show."""
    options = f"rw,exec,nosuid,nodev,size={limits.scratch_bytes},nr_inodes={limits.workspace_files}"
    nothing = "ro,nosuid,nodev,noexec,size=4k,mode=0555"
    return {
        "/tmp": f"{options},mode=1777",  # noqa: S108
        "/dev/shm": f"{options},mode=1777",  # noqa: S108
        HOME: f"{options},mode=0700,uid={user},gid={user}",
        "/sys": nothing,
        CONTROL_GROUPS: nothing,  # or the engine mounts the machine's there, before or after /sys
    }


def shared_memory(limits: Limits) -> dict[str, str]:
    """Settings of a container's own System V objects and message queues, which belong to no process.

    Nobody who counts the memory of processes sees them, and by default they may be as large as the machine.
    """
    pages = limits.scratch_bytes // resource.getpagesize()
    return {
        "kernel.shmmax": str(limits.scratch_bytes),
        "kernel.shmall": str(pages),
        "kernel.msgmni": str(MAX_QUEUES),
        "kernel.sem": f"250 {MAX_SEMAPHORES} 100 128",
    }


class View:
    """The mounts of every container of one sandbox."""

    def __init__(self, directory: Path, hidden: Iterable[Path]) -> None:
        """Set up.

        Args:
            directory: a private one, for files of accounts.
            hidden: directories that no program may see.
        """
        directory.mkdir()
        self._directory = directory
        self._hidden = tuple(path.resolve() for path in hidden)

    def mounts(self, own: Iterable[Shown], user: int, control: Path) -> list[Mount]:
        """All of them, one for each place.

        Args:
            own: what is shown besides the system.

        Raises:
            FileNotFoundError: what is to be shown is not there.
        """
        from docker.types import Mount

        brought = dict(own)
        shown = {**dict(self._system(user)), **brought, CONTROL: (control, False)}
        for source, _ in shown.values():
            source.stat()
        found = [
            Mount(target, os.fspath(source), type="bind", read_only=not writable, propagation="rprivate")
            for target, (source, writable) in shown.items()
        ]
        tops = [Path("/usr"), PREFIX, *map(Path, brought)]
        covered = [path for path in self._hidden if any(path.is_relative_to(top) for top in tops)]
        covers = (Mount(str(path), None, type="tmpfs", read_only=True, tmpfs_mode=0o555) for path in covered)
        return [*found, *covers]

    def _system(self, user: int) -> Iterator[Shown]:
        """The system's programs, libraries and settings, and the grader's own parts."""
        tops = [Path("/") / name for name in SYSTEM]
        places = [path for path in tops if path.is_dir() and not path.is_symlink()]
        places += [path for name in SETTINGS if (path := Path("/etc") / name).exists()]
        if (cores := Path("/sys/devices/system/cpu")).exists():
            places.append(cores)
        if not PREFIX.is_relative_to("/usr"):
            places.append(PREFIX)
        for path in places:
            yield os.fspath(path), (path, False)
        for name in OWN_SETTINGS:
            own = self._account(name, user) if name in ACCOUNTS else paths.INSIDE / "etc" / name
            yield f"/etc/{name}", (own, False)
        yield INSIDE, (paths.INSIDE, False)

    def _account(self, name: str, user: int) -> Path:
        """`passwd` or `group` with the candidate's number: a container has the machine's own numbers."""
        path = self._directory / f"{name}-{user}"
        if not path.exists():
            text = (paths.INSIDE / "etc" / name).read_text(encoding="utf-8")
            aside = path.with_suffix(f".{os.urandom(4).hex()}")
            aside.write_text(text.replace("1000", str(user)), encoding="utf-8")
            aside.replace(path)
        return path


def own(job: Job) -> Iterator[Shown]:
    """What one job brings."""
    for bind in job.binds:
        yield bind.target or os.fspath(bind.source), (bind.source, bind.writable)
    for port, path in job.outbound.items():
        yield f"{SOCKETS}/{port}", (path, False)
    yield WORKSPACE, (job.workspace, True)


REFUSED = (
    *("acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "delete_module", "fanotify_init"),
    *("finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "init_module", "io_uring_enter"),
    *("io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load"),
    *("keyctl", "lookup_dcookie", "memfd_secret", "migrate_pages", "mount", "mount_setattr", "move_mount"),
    *("move_pages", "name_to_handle_at"),
    *("nfsservctl", "open_by_handle_at", "open_tree", "perf_event_open", "pidfd_getfd", "pivot_root"),
    *("ptrace", "quotactl", "quotactl_fd", "reboot", "request_key", "setns", "settimeofday", "swapoff"),
    *("swapon", "syslog", "umount", "umount2", "unshare", "userfaultfd", "uselib", "vhangup", "vm86"),
    "vm86old",
)
NEW_NAMESPACES = 0x7E020000
"""Every flag of clone's that makes one."""
NO_FAMILY, NOT_THERE = 97, 38


def system_calls() -> dict[str, Any]:
    """What the kernel refuses a container's processes, whatever profile the engine has by default.

    Those profiles differ: older ones refuse to look into a child's memory, by which `watch_make.py` sees what
    make runs. What is refused here needs a capability, reaches beyond a run or to its process 1, or is for
    debugging the kernel: as `inside/system_calls.py` has it, but for System V's IPC, of which a container has
    a namespace with limits.
    """
    refused: list[dict[str, Any]] = [
        {"names": [*REFUSED], "action": "SCMP_ACT_ERRNO"},
        # Its flags cannot be seen; the C library does without it.
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": NOT_THERE},
    ]
    for flag in (1 << bit for bit in range(32) if NEW_NAMESPACES >> bit & 1):
        masked = {"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}
        refused.append({"names": ["clone"], "action": "SCMP_ACT_ERRNO", "args": [masked]})
    # One rule a family: where one argument is named twice in a rule, engines take either for enough.
    most = max(FAMILIES)
    families = [(number, "SCMP_CMP_EQ") for number in range(most) if number not in FAMILIES]
    for number, comparison in (*families, (most, "SCMP_CMP_GT")):
        family = {"index": 0, "value": number, "op": comparison}
        refused.append(
            {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": NO_FAMILY, "args": [family]}
        )
    process_1 = {"index": 0, "value": 0xFFFFFFFF, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}
    refused.append({"names": ["prlimit64"], "action": "SCMP_ACT_ERRNO", "args": [process_1]})
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": refused}


def settings(
    client: docker.DockerClient, limits: Limits, info: dict[str, Any], mounts: list[Mount], user: int
) -> dict[str, Any]:
    """What the engine is told; limits of its own stand behind the grader's, which tell what was hit."""
    memory_bytes = limits.memory_bytes + MORE_MEMORY
    chosen: dict[str, Any] = {
        "network_mode": "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges", f"seccomp={json.dumps(system_calls())}"],
        "ipc_mode": "none",  # a private one without the engine's /dev/shm, which bounds no number of files
        "sysctls": shared_memory(limits),
        "tmpfs": memory(limits, user),
        "mounts": mounts,
        "auto_remove": True,
        "init": False,
    }
    if info.get("MemoryLimit"):
        chosen["mem_limit"] = memory_bytes
        chosen["memswap_limit"] = memory_bytes if info.get("SwapLimit") else None
    if info.get("PidsLimit"):
        chosen["pids_limit"] = limits.threads + MORE_THREADS
    if "name=userns" in (info.get("SecurityOptions") or ()):
        chosen["userns_mode"] = "host"
    return {
        **client.api.create_host_config(**chosen),
        "CgroupnsMode": "private",
        "MaskedPaths": MASKED,
        "ReadonlyPaths": CLOSED,
    }


MORE_MEMORY = 256 * 2**20
"""What the first process needs, and so that the grader mostly comes first, and more of a run is seen."""
MORE_THREADS = 16
"""What the first process needs besides the command's own."""
