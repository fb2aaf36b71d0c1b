"""`grader cluster`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from grader.cohort.executor.keys import CA, CERTIFICATE, KEY, make_keys
from grader.report.console import console

if TYPE_CHECKING:
    from pathlib import Path


def keys_command(directory: Path) -> int:
    """Make the keys of a cluster, and say how they are used."""
    make_keys(directory)
    options = f"--tls-ca-file {CA} --tls-cert {CERTIFICATE} --tls-key {KEY}"
    lines = (
        f"{directory} holds the keys of a cluster: who has them runs what he likes on its workers.",
        "Bring the folder to each machine over a safe way (scp), and in it start",
        f"  dask scheduler --protocol tls {options}",
        f"  dask worker tls://HOST:8786 --nthreads SLOTS --memory-limit 0 {options}",
        f"  grader batch SOURCE --on tls://HOST:8786 --keys {directory}",
    )
    for line in lines:
        console(sys.stdout).print(line, markup=False, highlight=False, soft_wrap=True)
    return 0
