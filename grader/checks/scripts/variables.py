"""Variables that a program has no value of its own for, with the values that its submission gives them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from grader.readers.invocations import Setting, all_invocations, settings
from grader.readers.python.module import modules
from grader.readers.python.variables import Variables, variables
from grader.submission.manifest import is_refused

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from grader.documents import SourceFile
    from grader.submission.model import Submission

_SERVICES = ("MLFLOW_", "AWS_", "DVC_")
"""What begins so says where a service is, which the cell alone knows."""


def documented_variables(submission: Submission, file: SourceFile) -> tuple[Setting, ...]:
    """Values for what the program stops without."""
    return _documented(submission, _read(submission, file).required)


def documented_wishes(submission: Submission | None, file: SourceFile) -> tuple[Setting, ...]:
    """Values for what the program has nothing for, though it goes on without."""
    return () if submission is None else _documented(submission, _read(submission, file).wanted)


def pipeline_variables(submission: Submission, pipeline: SourceFile) -> dict[str, str]:
    """Values for what the programs of a pipeline's stages stop without."""
    # Pipelines come first: what stands elsewhere is of no interest.
    of_stages = itertools.takewhile(
        lambda each: each.where.rpartition(":")[0].endswith(pipeline.path.name), all_invocations(submission)
    )
    paths = dict.fromkeys(each.path for each in of_stages)
    files = (file for path in paths if (file := submission.file(path)) is not None)
    return {each.name: each.value for file in files for each in documented_variables(submission, file)}


def allowed(submission: Submission, file: SourceFile | None, env: Mapping[str, str]) -> dict[str, str]:
    """The variables of a command that its program reads, and that say nothing of where services are."""
    sources = modules(submission, file) if file is not None and file.path.suffix == ".py" else ()
    texts = [module.file.text for module in sources if isinstance(module.file.text, str)]
    return {
        name: value
        for name, value in env.items()
        if not name.startswith(_SERVICES)
        and not is_refused(name)
        and any(name in text or name.lower() in text for text in texts)
    }


def _read(submission: Submission, file: SourceFile) -> Variables:
    found = modules(submission, file) if file.path.suffix == ".py" else ()
    return variables(found)


def _documented(submission: Submission, names: Collection[str]) -> tuple[Setting, ...]:
    open_names = [
        name
        for name in sorted(names)
        if not name.startswith(_SERVICES)
        and not is_refused(name)
        and name not in submission.manifest.environment
    ]
    if not open_names:
        return ()
    said = settings(submission)
    return tuple(said[name] for name in open_names if name in said)
