from __future__ import annotations

from pathlib import Path

import pytest

from grader.cohort.gradebook.file_systems import network_file_system

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /proc rw - proc proc rw
30 22 0:40 / /home rw,relatime shared:2 - nfs4 server:/home rw,vers=4.2
31 30 8:2 / /home/me/local rw - xfs /dev/sdb1 rw
32 22 0:41 / /mnt/with\\040blank rw - cifs //server/share rw
33 22 0:42 / /mnt/ssh rw - fuse.sshfs me@server: rw
34 22 0:43 / /mnt/layers rw - fuse.fuse-overlayfs fuse-overlayfs rw
35 22 0:44 / /mnt/over rw - lustre host:/fs rw
36 22 0:45 / /mnt/over rw - tmpfs tmpfs rw
37 22 0:46 / /mnt/vm rw - 9p share rw
nonsense
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", ""),
        ("/homes", ""),
        ("/home", "nfs4"),
        ("/home/me", "nfs4"),
        ("/home/me/local/x", ""),
        ("/mnt/with blank/x", "cifs"),
        ("/mnt/ssh", "fuse.sshfs"),
        ("/mnt/layers/x", ""),
        ("/mnt/over", ""),
        ("/mnt/vm/a/b", "9p"),
    ],
)
def test_the_nearest_mount_decides(folder: str, kind: str) -> None:
    assert network_file_system(Path(folder), MOUNTS) == kind


def test_this_machines_table_is_read(tmp_path: Path) -> None:
    assert network_file_system(tmp_path) == ""
