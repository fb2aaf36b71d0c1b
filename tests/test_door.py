"""Nothing but `grader/files.py` looks into or changes a directory in which candidate code has run.

No reader of source can tell which directory a path leads to. So every place in the grader that touches a
file system by path is listed here, with the reason why candidate code never had its hands in there; what is
new is to go through the door, or to say why it need not.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import grader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(grader.__file__).parent
DOOR = "files.py"
INSIDE = ("runtime/inside/", "runtime/probes/", "runtime/warm/inside/")
"""Scripts that run in the sandbox themselves, with what it lets them have."""

ALLOWED: Mapping[str, tuple[str, ...]] = {
    "the gradebook and the locks of graders, where a user wants them": (
        "cohort/batch.py:Batch._may_begin",
        "cohort/exports/output.py",
        "cohort/gradebook/file_systems.py",
        "cohort/gradebook/lock.py",
        "cohort/gradebook/store.py",
        "cohort/executor/attempt.py:_hello",
        "commands/batch.py:_opened",
        "web/application.py:Site.batch_start",
        "web/application.py:Site.compare",
        "runtime/queue.py:_hold",
    ),
    "reads what comes with the grader or the exam, or what a user names": (
        "exam/bundled.py",
        "checks/generic/sqlite.py:_is_sql",
        "cohort/canaries.py",
        "cohort/exports/delimited.py:read_table",
        "cohort/regrade/code.py",
        "cohort/regrade/fingerprints.py:_file",
        "cohort/regrade/fingerprints.py:_folder",
        "cohort/executor/dask.py:address_of",
        "cohort/executor/keys.py",
        "commands/batch.py:_hello",
        "commands/github.py:_append",
        "commands/serve.py",
        "commands/watch.py",
        "cohort/sources/discover.py",
        "cohort/sources/roster.py",
        "report/formats.py",
        "corpus/cases.py",
        "exam/candidate_edition.py",
        "exam/loader.py",
        "exam/new_exam.py",
        "exam/rules.py",
        "error_handler.py",
        "exam/schema.py",
        "schemas/__init__.py",
        "session.py",
        "reference_comparison.py",
        "exam/starter.py",
        "exam/trial.py",
        "report/html/page.py",
        "web/templates.py",
        "web/evidence/template.py",
        "corpus/verify.py",
        "readers/vendored_schemas.py",
        "checks/makefile/dry_run.py:_watch",
        "runtime/submission_runtime.py:SubmissionRuntime.__init__",
        "runtime/submission_runtime.py:SubmissionRuntime._seed_inputs",
        "runtime/submission_runtime.py:_digest",
        "runtime/services/mlflow.py:MlflowHost._argv",
        "runtime/services/mlflow.py:MlflowHost._template",
        "runtime/services/s3.py:_start",
        "runtime/sandbox/paths.py",
    ),
    "looks at what was handed in, through no link: no code of its candidates has run": (
        "cohort/sources/entries.py",
        "cohort/sources/unpack.py:unpacked",
        "web/evidence/files.py",
    ),
    "a folder of ours beside a cohort, into which its files are copied and unpacked": (
        "cohort/sources/layout.py",
        "cohort/sources/repositories.py",
        "cohort/sources/unpack.py:_unpack",
    ),
    "collects a submission: no code of its candidate has run yet, and none ever runs in what it makes": (
        "submission/archives.py",
        "submission/collect.py",
        "submission/copy_tree.py",
        "submission/git_revision.py",
        "cohort/executor/parcel.py",
        "cohort/executor/attempt.py:attempt",
    ),
    "reads the collected submission or the given data, which programs get copies of": (
        "documents.py:SourceFile.text",
        "checks/dvc/config.py:_hashes",
        "checks/dvc/command.py:settings_files",
        "checks/dvc/runs.py:_push",
        "checks/training/scenarios.py:_files",
        "context.py:Context.given",
        "runtime/environment/plan.py",
        "runtime/image_build/request.py:build_inputs",
        "runtime/image_build/request.py:_write",
        "checks/project/gitignore.py",
    ),
    "a temporary directory of the grader's own, in which no program of a candidate runs": (
        "checks/prometheus/promtool.py",
        "runtime/environment/uv.py",
        "runtime/image_build/request.py:_cached.write",
    ),
    "bytes that were read through the door": (
        "checks/mlflow/pictures.py",
        "web/evidence/pictures.py",
        "checks/mlflow/stores.py:_opened",
    ),
    "an archive in memory, in which no name becomes a path": ("github/artifact.py:_member",),
    "an entry of the cache: made by the grader, read-only and under a seal": (
        "commands/cache.py:_are_apart",
        "commands/cache.py:_measured",
        "runtime/cache.py",
        "runtime/environment/build.py",
        "runtime/image_build/request.py:_read",
        "runtime/environment/installed.py",
        "runtime/submission_runtime.py:SubmissionRuntime.seeded",
        "checks/mlflow/local_stores.py",
    ),
    "a copy that the door has just made, which nobody else can reach": (
        "runtime/submission_runtime.py:SubmissionRuntime._seed",
        "runtime/submission_runtime.py:_copy_files",
        "runtime/services/mlflow.py:MlflowHost.open",
    ),
    "a package as it is downloaded, and its wheel as it is written anew": ("runtime/environment/wheels.py",),
    "makes a new directory, or fills one in which nothing has run yet": (
        "runtime/cell.py:Cell.probe",
        "runtime/cell.py:Cell.private",
        "runtime/submission_runtime.py:SubmissionRuntime._cell",
        "runtime/services/s3.py:open_store",
        "runtime/services/mlflow.py:MlflowHost.__init__",
        "runtime/services/mlflow.py:MlflowHost.start",
        "runtime/services/mlflow.py:MlflowHost._migrate",
        "runtime/services/mlflow.py:MlflowHost._keep",
        "runtime/warm/sandbox.py:Warm.__init__",
        "runtime/shared_runtime.py",
        "runtime/workspace.py:_place",
        "runtime/warm/fork_server.py:Zygote._job",
        "runtime/environment/build_sandbox.py:build_sandbox",
        "cohort/similarity/export.py:export_tree",
    ),
    "a socket or a directory beside the sandbox, which programs do not see": (
        "runtime/helpers/container.py",
        "runtime/sandbox/docker/mounts.py",
        "runtime/sandbox/docker/sandbox.py",
        "runtime/sandbox/direct.py:Direct._start",
        "runtime/sandbox/launch.py",
        "runtime/warm/fork_server.py:Zygote.__init__",
    ),
    "asks the kernel (`/proc`, control groups) or the machine": (
        "runtime/image_build/watcher.py",
        "runtime/services/http.py",
        "runtime/sandbox/control_groups.py",
        "docker_engine.py",
        "runtime/sandbox/group_memory.py",
        "runtime/helpers/jail.py",
        "runtime/sandbox/bubblewrap/mounts.py",
        "runtime/sandbox/direct.py:_marked",
        "runtime/sandbox/limits.py:children",
        "runtime/sandbox/limits.py:_stat",
        "runtime/sandbox/limits.py:proportional_memory",
        "runtime/sandbox/limits.py:find_hidden",
        "runtime/sandbox/limits.py:_open_files",
        "runtime/sandbox/limits.py:written_bytes",
        "runtime/sandbox/limits.py:_carries_descriptors",
        "runtime/sandbox/limits.py:_maps_deleted_files",
        "runtime/sandbox/limits.py:memory_file_systems",
    ),
    "counts blocks, ten times a second, and opens nothing: a link costs the run that made it": (
        "runtime/sandbox/limits.py:exceeds",
        "runtime/sandbox/limits.py:_entries",
    ),
    "goes by descriptors itself, to change owners or to remove what the door would not find": (
        "runtime/sandbox/ownership.py",
        "runtime/temporary.py",
    ),
    "runs in a server of ours, confined to its store": (
        "runtime/services/mlflow_server.py",
        "runtime/services/s3_server.py",
        "runtime/image_build/worker.py",
        "runtime/sandbox/docker/container.py",
    ),
    "the grader's own secret": ("runtime/seed_secret.py",),
}

OS = frozenset(
    [
        "access",
        "chdir",
        "chmod",
        "chown",
        "fwalk",
        "getxattr",
        "lchown",
        "link",
        "listdir",
        "listxattr",
        "lstat",
        "makedirs",
        "mkdir",
        "mkfifo",
        "mknod",
        "open",
        "readlink",
        "remove",
        "removedirs",
        "removexattr",
        "rename",
        "renames",
        "replace",
        "rmdir",
        "scandir",
        "setxattr",
        "stat",
        "statvfs",
        "symlink",
        "truncate",
        "unlink",
        "utime",
        "walk",
    ]
)
OS_PATH = frozenset(
    ["exists", "getmtime", "getsize", "isdir", "isfile", "islink", "lexists", "realpath", "samefile"]
)
FUNCTIONS = frozenset(
    [
        "glob.glob",
        "glob.iglob",
        "Image.open",
        "io.open",
        "open",
        "sqlite3.connect",
        "tarfile.open",
        "zipfile.ZipFile",
    ]
)
METHODS = frozenset(
    [
        "chmod",
        "glob",
        "hardlink_to",
        "iterdir",
        "lchmod",
        "mkdir",
        "read_bytes",
        "read_text",
        "rename",
        "rglob",
        "rmdir",
        "samefile",
        "symlink_to",
        "touch",
        "unlink",
        "write_bytes",
        "write_text",
    ]
)
PATHS_ALONE = frozenset(
    [
        "exists",
        "is_dir",
        "is_fifo",
        "is_file",
        "is_socket",
        "is_symlink",
        "lstat",
        "readlink",
        "resolve",
        "stat",
    ]
)
"""Methods that take no path: what does take one is the door's, or looks nothing up."""
NO_FILES = {"shutil.which", "shutil.get_terminal_size"}


class Reader(ast.NodeVisitor):
    """Finds the calls that touch a file system by path."""

    def __init__(self, module: str) -> None:
        self.found: list[str] = []
        self._module = module
        self._inside: list[str] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._descend(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._descend(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._descend(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Under another name a function would not be found where it is called."""
        names = {f"{node.module}.{alias.name}" for alias in node.names}
        if any(_touches(name) for name in names):
            self._note(node.lineno)

    def visit_Import(self, node: ast.Import) -> None:
        if any(alias.asname and alias.name in {"os", "os.path", "shutil"} for alias in node.names):
            self._note(node.lineno)

    def visit_Call(self, node: ast.Call) -> None:
        if _touches(ast.unparse(node.func)) or _is_method_of_path(node):
            self._note(node.lineno)
        self.generic_visit(node)

    def _descend(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._inside.append(node.name)
        self.generic_visit(node)
        self._inside.pop()

    def _note(self, line: int) -> None:
        self.found.append(f"{self._module}:{'.'.join(self._inside)}:{line}")


def _touches(function: str) -> bool:
    head, _, name = function.rpartition(".")
    return (
        (head in {"os", "posix"} and name in OS)
        or (head in {"os.path", "posixpath"} and name in OS_PATH)
        or (head == "shutil" and function not in NO_FILES)
        or function in FUNCTIONS
    )


def _is_method_of_path(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    name, nothing = call.func.attr, not call.args
    if name == "open":  # a path is told how to open itself, the door which path to open
        mode = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else ""
        if ast.unparse(call.func.value) == "self":
            return False
        return nothing or (isinstance(mode, str) and bool(mode) and set(mode) <= set("rwxabt+"))
    if name == "replace":  # texts take two
        return len(call.args) == 1 and not call.keywords
    return name in METHODS or (name in PATHS_ALONE and nothing)


def touching(source: str, module: str = "module.py") -> list[str]:
    reader = Reader(module)
    reader.visit(ast.parse(source))
    return reader.found


def places() -> Iterator[str]:
    for path in sorted(ROOT.rglob("*.py")):
        module = path.relative_to(ROOT).as_posix()
        if module != DOOR and not module.startswith(INSIDE):
            yield from touching(path.read_text("utf-8"), module)


def patterns() -> list[str]:
    return [pattern for several in ALLOWED.values() for pattern in several]


def _covers(pattern: str, place: str) -> bool:
    return place.startswith(f"{pattern}:")


def test_every_other_place_has_a_reason() -> None:
    assert [place for place in places() if not any(_covers(each, place) for each in patterns())] == []


def test_every_reason_has_a_place() -> None:
    found = list(places())
    assert [each for each in patterns() if not any(_covers(each, place) for place in found)] == []


@pytest.mark.parametrize(
    "source",
    [
        "open(path)",
        "io.open(path)",
        "os.open(path, os.O_RDONLY)",
        "for top, folders, files in os.walk(workspace): pass",
        "os.path.isfile(path)",
        "shutil.rmtree(path)",
        "path.open()",
        "path.open('rb')",
        "(workspace / name).read_text('utf-8')",
        "Path(name).unlink(missing_ok=True)",
        "path.replace(other)",
        "path.is_file()",
        "sorted(workspace.rglob('*'))",
        "sqlite3.connect(path)",
        "from os import walk",
        "from shutil import copy as keep",
        "import os as system",
        "import shutil as s",
    ],
)
def test_what_touches_a_file_system_is_found(source: str) -> None:
    assert touching(f"class A:\n    async def f(self):\n        {source}\n") == ["module.py:A.f:3"]


@pytest.mark.parametrize(
    "source",
    [
        "tree.open(path)",
        "self.open()",
        "tree.read(path, 10)",
        "tree.is_file(path)",
        "tree.copy_out('', target)",
        "text.replace('a', 'b')",
        "shutil.which('git')",
        "os.path.join(a, b)",
        "os.getpid()",
        "from os import environ",
        "import shutil",
    ],
)
def test_what_touches_none_is_not(source: str) -> None:
    assert touching(source) == []
