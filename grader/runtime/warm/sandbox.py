"""A sandbox that decides of each run whether it is warm, and keeps the interpreter for those that are."""

from __future__ import annotations

import ast
import contextlib
import os
import threading
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from grader.documents import python_tree
from grader.errors import GraderFault
from grader.files import Budget, Tree, open_tree
from grader.runtime.probes import program
from grader.runtime.sandbox import launch
from grader.runtime.sandbox.bubblewrap.sandbox import Bubblewrap, hand_over
from grader.runtime.sandbox.model import WORKSPACE, Bind, Job, Run
from grader.runtime.warm.fork_server import Unavailable, Zygote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.runtime.sandbox.process import Process
    from grader.runtime.sandbox.protocol import Sandbox
    from grader.runtime.warm.preload import Preload

READ_AT_START = (
    *("PYTHON", "LD_", "MPL", "MATPLOTLIB", "OMP_", "OPENBLAS_", "MKL_", "NUMEXPR_", "BLIS_", "KMP_"),
    *("GOMP_", "NVPL_", "NPY_", "NUMPY_", "SCIPY_", "SKLEARN_", "PANDAS_", "JOBLIB_", "LOKY_", "PILLOW_"),
    *("MLFLOW_CONFIGURE", "MLFLOW_LOGGING", "EVIDENTLY_", "PYDANTIC_", "HYDRA_", "OTEL_", "GRPC_", "GIT_"),
    *("PROTOCOL_", "FSSPEC_", "NLTK_", "PSUTIL_", "MULTIDICT_", "YARL_", "FROZENLIST_", "DATABRICKS_"),
    *("LANG", "LC_", "XDG_", "SSL_", "REQUESTS_", "CURL_", "AWS_CA_", "CLOUDSDK_", "GOOGLE_", "TF_"),
)
"""Variables that programs and libraries look at once, when they start or are imported."""
MINDFUL = frozenset({"pytest"})
"""Programs that behave otherwise when others' modules were imported before them."""
MAX_SOURCE = 2**20
ROUNDS = 3
MAX_FILES = 5000
_NO_PACKAGES = frozenset({"__pycache__", ".dvc", ".git", ".venv"})
MAX_WAIT_SECONDS = 30.0
"""Seconds; the imports take five on an idle machine."""
VARIABLE = "GRADER_WARM"
"""Set to 0, every run imports for itself."""


def open_warm(sandbox: Sandbox, arena: Path) -> Warm | None:
    """A warm sandbox around another; None where that is not one of bubblewrap's, or it is switched off.

    Args:
        arena: the directory below which every workspace lies, and nothing that a program may not see.
    """
    if not isinstance(sandbox, Bubblewrap) or os.environ.get(VARIABLE) == "0":
        return None
    return Warm(sandbox, arena)


class Warm:
    """A sandbox that runs the candidate's Python warm once it is; see `Sandbox`."""

    name = "bubblewrap"

    def __init__(self, inner: Bubblewrap, arena: Path) -> None:
        """Until `prepare` has finished every run is a cold one.

        Args:
            arena: the directory below which every workspace lies, and nothing that a program may not see.
        """
        arena.mkdir(parents=True, exist_ok=True)
        arena.chmod(0o755)
        self._inner = inner
        self._arena = arena
        self._processes = launch.ProcessRegistry()
        self._zygote: Zygote | None = None
        self._preload: Preload | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closed = False
        self.problem = ""
        """Why runs are cold, if they are."""

    def prepare(self, preload: Preload) -> None:
        """Begin to import; returns at once. Only the first call counts."""
        with self._starting:
            if self._thread is not None or self._closed:
                return
            self._preload = preload
            thread = threading.Thread(target=self._prepare, args=(preload,), name="warm", daemon=True)
            thread.start()
            self._thread = thread  # not before: who closes meanwhile would wait for what never began

    def ready(self, seconds: float) -> bool:
        """Whether runs are warm now or within so many seconds."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._zygote is not None

    def wait_for(self, job: Job) -> None:
        """Wait for the imports, where a job would do them all anew and slow both down."""
        preload, thread = self._preload, self._thread
        if preload is not None and thread is not None and self._zygote is None and _gains(job, preload):
            thread.join(MAX_WAIT_SECONDS)

    def start(self, job: Job) -> Process:
        """Fork a warm interpreter for the job if one suits it, else start it in the inner sandbox."""
        zygote = self._zygote
        if zygote is not None and self._suits(job, zygote):
            with contextlib.suppress(Unavailable):
                return self._start_warm(job, zygote)
        return self._inner.start(job)

    def run(self, job: Job) -> Run:
        """Start the job and wait for its end, as `Sandbox.run` does."""
        return launch.run_to_end(self.start(job))

    def sees(self, bind: Bind) -> str:
        """Return the path of a bound file in the inner sandbox, which warm runs share."""
        return self._inner.sees(bind)

    def workspace(self, job_workspace: Path) -> str:
        """Return the path of the workspace in the inner sandbox, which warm runs share."""
        return self._inner.workspace(job_workspace)

    def close(self) -> None:
        """End every run and the warm interpreter, and start no more."""
        self._processes.close()
        self._inner.close()
        with self._starting:
            self._closed = True
        if self._thread is not None:
            self._thread.join()
        if self._zygote is not None:
            self._zygote.close()

    def _start_warm(self, job: Job, zygote: Zygote) -> Process:
        self._processes.check()
        try:
            process = zygote.start(job)
        except Unavailable as error:
            self.problem, self._zygote = str(error), None
            zygote.close()
            raise
        self._processes.add(process)
        process.confirm()
        return process

    def _prepare(self, preload: Preload) -> None:
        modules = list(preload.modules)
        for _ in range(ROUNDS):
            try:
                zygote = Zygote(self._inner, self._arena, preload, modules)
            except (Unavailable, GraderFault, OSError) as error:
                self.problem = str(error)
                return
            noisy = {name.partition(".")[0] for name in zygote.noisy}
            if not noisy:
                self._zygote = zygote
                return
            zygote.close()
            modules = [name for name in modules if name.partition(".")[0] not in noisy]
        self.problem = "the imports warn"

    def _suits(self, job: Job, zygote: Zygote) -> bool:
        preload = zygote.preload
        return (
            job.workspace.is_relative_to(self._arena)
            and _gains(job, preload)
            and all(zygote.place(bind) is not None for bind in job.binds)
            and not _shadows(open_tree(job.workspace), zygote.modules)
            and (os.geteuid() != 0 or hand_over(job) is not None)
        )


def _gains(job: Job, preload: Preload) -> bool:
    """Whether a job is a script that may find its imports done."""
    return (
        not job.fresh
        and _same_start(job.env, preload.env)
        and _is_python(job, preload)
        and _runs_a_script(job, preload)
        and not _minds(job)
    )


def _same_start(env: Mapping[str, str], ahead: Mapping[str, str]) -> bool:
    """Whether nothing differs that was looked at when the imports were done."""
    names = (name for name in {*env, *ahead} if name.startswith(READ_AT_START))
    return all(env.get(name) == ahead.get(name) for name in names)


def _is_python(job: Job, preload: Preload) -> bool:
    name = job.argv[0]
    if name == os.fspath(preload.python):
        return True
    first = job.env.get("PATH", "").partition(":")[0]
    return first == os.fspath(preload.python.parent) and name in {"python", "python3"}


def _runs_a_script(job: Job, preload: Preload) -> bool:
    """A file, or a module of the submission's own; others may mind what is imported, as pytest does."""
    words = list(job.argv[1:])
    if not program.is_imitated(words):
        return False
    if words[0] != "-m":
        return words[0].endswith(".py")
    own, (module, main) = open_tree(job.workspace), _files(words[1])
    return words[1] in preload.programs or own.is_file(module) or own.is_folder(PurePosixPath(main).parent)


def _files(module: str) -> tuple[str, str]:
    """Where the code of a submission's module or package is that `-m` runs."""
    path = module.replace(".", "/")
    return f"{path}.py", f"{path}/__main__.py"


def _minds(job: Job) -> bool:
    """Whether a script of the submission is one of those that mind what is imported already."""
    paths = _files(job.argv[2]) if job.argv[1] == "-m" else (job.argv[1],)
    return any(_imports_mindful(source) for path in paths if (source := _script(job, path)) is not None)


def _imports_mindful(source: bytes) -> bool:
    try:
        tree = python_tree(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return any(name.partition(".")[0] in MINDFUL for name in names)


def _script(job: Job, name: str) -> bytes | None:
    """What a file says, if it is one of the workspace."""
    path = PurePosixPath(name)
    if path.is_relative_to(WORKSPACE):
        path = path.relative_to(WORKSPACE)
    return None if path.is_absolute() else open_tree(job.workspace).read(path, MAX_SOURCE)


def _shadows(workspace: Tree, modules: frozenset[str]) -> bool:
    """Whether a file of the workspace bears the name of something imported, and would have come first."""
    budget = Budget(entries=MAX_FILES)
    for entry in workspace.walk(budget=budget, skip=_NO_PACKAGES):
        *folders, name = entry.path.split("/")
        if any(folder.startswith(".") for folder in folders):
            continue
        if name.endswith((".py", ".so")) and name.partition(".")[0] in modules:
            return True
        if name == "__init__.py" and folders and folders[-1] in modules:
            return True
    return budget.exceeded
