"""Which file systems are another machine's: there a database cannot share memory with other processes."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = frozenset(
    {
        *(
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "smbfs",
            "ncpfs",
            "afs",
            "coda",
            "9p",
            "virtiofs",
            "vboxsf",
            "prl_fs",
        ),
        *("ceph", "glusterfs", "lustre", "gpfs", "beegfs", "panfs", "pvfs2", "orangefs", "ocfs2", "gfs2"),
        *("davfs", "acfs", "fhgfs", "vmhgfs", "fakeowner", "osxfs", "hpfs_mmfs", "weka", "wekafs"),
    }
)
LOCAL_FUSE = frozenset(
    {
        "fuse.fuse-overlayfs",
        "fuse.ext2",
        "fuse.ext4",
        "fuse.ntfs",
        "fuse.ntfs-3g",
        "fuse.bindfs",
        "fuse.mergerfs",
    }
)
"""Any other file system of a user's program may be anywhere."""


def network_file_system(folder: Path, mounts: str | None = None) -> str:
    """The type of a folder's file system if it is another machine's, such as `nfs4`; else empty.

    Args:
        folder: absolute, and through no link.
        mounts: the kernel's table; default: as it is now.
    """
    try:
        table = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape") if mounts is None else mounts
    except OSError:
        return ""
    best: tuple[int, str] = (-1, "")
    place = PurePosixPath(folder)
    for line in table.splitlines():
        words, _, rest = line.partition(" - ")
        fields = words.split(" ")
        if len(fields) < 5 or not rest:
            continue
        point = PurePosixPath(_unescaped(fields[4]))
        # Of two on one point it is the later one that is seen.
        if place.is_relative_to(point) and len(point.parts) >= best[0]:
            best = (len(point.parts), rest.split(" ")[0])
    kind = best[1]
    of_program = kind.startswith("fuse.") and kind not in LOCAL_FUSE
    return kind if kind in NETWORK or of_program else ""


def _unescaped(text: str) -> str:
    """Blanks and backslashes are octal in the kernel's table."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
