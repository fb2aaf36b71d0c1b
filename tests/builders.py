"""Small submissions written on the spot."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from grader.context import Context
from grader.exam.model import EnvironmentSpec, Exam
from grader.grading import outcome_of
from grader.submission.model import Manifest, Submission
from grader.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.check import Check
    from grader.results import Outcome

EXAM = Exam(
    id="test",
    title="Test",
    version="1",
    digest="",
    directory=Path(),
    points=100,
    pass_mark=70,
    sections=(),
    data={},
    reference=None,
    environment=EnvironmentSpec(python="3.11", lock="requirements-lock.txt", fallback=Path("none")),
)


def make_submission(
    root: Path,
    files: Mapping[str, str | bytes],
    *,
    deliverables: Mapping[str, str] | None = None,
    manifest: Manifest | None = None,
) -> Submission:
    """Write `files` (dedented) under `root`; `deliverables` maps ids to paths."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else dedent(content).encode())
    return Submission(
        name="test",
        root=root,
        files=tuple(sorted(PurePosixPath(name) for name in files)),
        deliverables={key: PurePosixPath(path) for key, path in (deliverables or {}).items()},
        manifest=manifest or Manifest(),
    )


def make_context(
    root: Path,
    files: Mapping[str, str | bytes],
    *,
    deliverables: Mapping[str, str] | None = None,
    without: frozenset[str] = frozenset(),
    **fields: Any,
) -> Context:
    """A context for static checks; tools named in `without` count as missing."""
    return Context(
        submission=make_submission(root, files, deliverables=deliverables),
        exam=EXAM,
        tools=Tools(hidden=without),
        **fields,
    )


def decide(check: Check, context: Context, **parameters: Any) -> Outcome:
    """What a check says."""
    return outcome_of(check, context, parameters)
