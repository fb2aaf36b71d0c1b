"""The optional `submission.yaml`, in which a candidate says where answers are and how they are run.

It is checked against `schemas/manifest.schema.json`. One that is not valid is ignored as a whole, with a
remark: a grade never depends on half a manifest.
"""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from grader.check import unknown
from grader.documents import Problem
from grader.exam.diagnostics import Complaint, Sheet
from grader.exam.schema import against_schema
from grader.results import Finding
from grader.submission.model import Manifest, Submission

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.exam.model import Exam

NAMES = ("submission.yaml", "submission.yml")
MAX_REMARKS = 10
_OBEYED_BEFORE_THE_PROGRAM = re.compile(
    r"LD_.*|DYLD_.*|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|NLSPATH|MALLOC_TRACE"
    r"|BASH_.*|BASHOPTS|SHELLOPTS|IFS|CDPATH|PS4"
    r"|PATH|HOME|PWD|OLDPWD|TMPDIR"
    r"|MAKE.*|MFLAGS|GNUMAKEFLAGS|GRADER_.*|PYTHON.*|GIT_.*"
)
"""What loaders, shells, make, git and Python itself look at, in the grader's own tools around a command too.

Not ENV, which many programs call their stage: only interactive shells read it, and none is.
"""
_HARMLESS = frozenset(
    (
        *("PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONIOENCODING", "PYTHONUTF8"),
        *("PYTHONFAULTHANDLER", "PYTHONWARNINGS", "GIT_PYTHON_REFRESH"),
        *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"),
    )
)
"""Those of the above that candidates set, and that change their own programs only."""


def read_manifest(submission: Submission, exam: Exam) -> tuple[Manifest, tuple[Finding, ...]]:
    """What the submission's manifest says, and remarks; it is empty where there is none or none valid."""
    file = next((found for name in NAMES if (found := submission.file(name)) is not None), None)
    if file is None:
        return Manifest(), ()
    documents = file.yaml
    if isinstance(documents, Problem):
        return Manifest(), (_ignored(documents.message, documents.where),)
    if not documents:
        return Manifest(), ()
    if len(documents) > 1 or not isinstance(documents[0].data, dict):
        return Manifest(), (_ignored("it is not one YAML mapping", file.name),)
    sheet = Sheet(file.name, documents[0])
    complaints = against_schema(sheet, "manifest") or list(_names(sheet, submission, exam))
    if complaints:
        return Manifest(), tuple(_remark(complaint) for complaint in complaints[:MAX_REMARKS])
    refused = [name for name in sheet.data.get("environment", {}) if is_refused(name)]
    remarks = [sheet.complain(_REFUSED, "environment", name) for name in refused[:MAX_REMARKS]]
    return _manifest(sheet.data), tuple(
        Finding(message=f"{each.path}: {each.message}", where=f"{each.file}:{each.line}") for each in remarks
    )


_REFUSED = "the variable is left out, because it would change the tools that run your commands"


def is_refused(name: str) -> bool:
    """Whether a submission may not set a variable, not even for its own programs."""
    return name not in _HARMLESS and _OBEYED_BEFORE_THE_PROGRAM.fullmatch(name) is not None


def _names(sheet: Sheet, submission: Submission, exam: Exam) -> Iterator[Complaint]:
    """Deliverables and files that do not exist, and commands that are none."""
    known = [deliverable.id for task in exam.tasks for deliverable in task.deliverables]
    for section in ("paths", "commands"):
        for name in sheet.data.get(section, {}):
            if name not in known:
                yield sheet.complain(unknown("deliverable", name, known), section, name)
    for name, path in sheet.data.get("paths", {}).items():
        if submission.file(PurePosixPath(path)) is None:
            yield sheet.complain(f"there is no file {path}", "paths", name)
    for name, command in sheet.data.get("commands", {}).items():
        if not _words(command):
            yield sheet.complain("not a command line", "commands", name)


def _words(command: str | list[str]) -> tuple[str, ...]:
    """The words of a command; none where its quotes do not match."""
    if isinstance(command, list):
        return tuple(command)
    try:
        return tuple(shlex.split(command))
    except ValueError:
        return ()


def _manifest(data: dict[str, Any]) -> Manifest:
    return Manifest(
        paths={name: str(PurePosixPath(path)) for name, path in data.get("paths", {}).items()},
        commands={name: _words(command) for name, command in data.get("commands", {}).items()},
        environment={
            name: _text(value) for name, value in data.get("environment", {}).items() if not is_refused(name)
        },
    )


def _text(value: object) -> str:
    """A variable's value as a shell would have it: YAML's `true` is no Python `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _remark(complaint: Complaint) -> Finding:
    where = f"{complaint.file}:{complaint.line}" if complaint.line else complaint.file
    return _ignored(f"{complaint.path}: {complaint.message}" if complaint.path else complaint.message, where)


def _ignored(reason: str, where: str) -> Finding:
    return Finding(message=f"the manifest is ignored: {reason}", where=where)
