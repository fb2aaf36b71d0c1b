"""Small submissions written on the spot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from textwrap import dedent
from typing import Any

from grader.checks.context import Context
from grader.checks.registry import Check
from grader.exam import EnvironmentSpec, Exam
from grader.results import Outcome
from grader.submission import Manifest, Submission
from grader.tools import Tools

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
    return check.function(context, **parameters)
