"""Warm start: runs of the candidate's Python that find their imports done.

One sandboxed interpreter imports what most scripts will; each run is a fork of it that leaves for namespaces
of its own (`inside/server.py`), in which it does what a new interpreter would (`probes/program.py`). What a
run sees, may do and leaves is as in a cold one; what cannot be is a cold one. Other rooms open it here:

- `open_warm(sandbox, arena)` is the sandbox to run in, `Warm.prepare(Preload(…))` begins the imports;
- `GRADER_WARM=0` switches it off (`VARIABLE`): no score depends on it.

Measured: without it, a grade of the reference solution takes 2.2 times the CPU time (121 s for 55 s, all
processes counted), and took 1.5, 2.6 and 2.8 times as long in three pairs on two busy cores.
"""

from grader.runtime.warm.preload import Preload
from grader.runtime.warm.sandbox import VARIABLE, Warm, open_warm

__all__ = ["VARIABLE", "Preload", "Warm", "open_warm"]
