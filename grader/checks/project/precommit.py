""".pre-commit-config.yaml: valid for pre-commit itself, with the required hooks."""

from __future__ import annotations

import logging
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from grader.check import Deliverable, check
from grader.documents import Problem, SourceFile
from grader.readers.precommit import Hook, list_hooks
from grader.readers.shell.follow import SubmissionFiles, follow
from grader.readers.shell.parser import SHELLS
from grader.readers.shell.pattern import matches
from grader.results import Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.context import Context
    from grader.submission.model import Submission

_IDLE = frozenset({"echo", "true", "false", ":", "printf", "exit", "test"})
"""Commands that check nothing: a local hook of only these is a hook in name only."""


_NO_OP = ("--help", "-h", "--version")
MAX_SCRIPTS = 3
"""How many scripts of one hook are read."""


def _hooks(context: Context, *, file: Deliverable) -> tuple[Hook, ...] | Finding:
    """The hooks of a configuration that pre-commit accepts."""
    source = context.deliverable(file)
    if isinstance(source.yaml, Problem):
        return source.yaml.finding("a configuration that pre-commit can read")
    loaded = _load(source)
    return loaded if isinstance(loaded, Finding) else tuple(list_hooks(loaded))


def _load(source: SourceFile) -> dict[str, Any] | Finding:
    """The file as pre-commit reads it."""
    from pre_commit.clientlib import InvalidConfigError, load_config

    # It warns through a logger without a handler, which would print over our report.
    logging.getLogger("pre_commit").addHandler(logging.NullHandler())
    try:
        return dict(load_config(str(source.absolute), display_filename=source.name))
    except InvalidConfigError as error:
        said = str(error).replace("=====>", "==>").split("==>")
    except (TypeError, ValueError, AttributeError) as error:  # pre-commit crashes on it just so
        said = [str(error)]
    *places, last = (" ".join(part.split()) for part in said if part.strip())
    return Finding(
        message=f"pre-commit rejects it: {last}",
        where=source.name,
        detail="\n".join(places[1:]),
    )


@check("precommit.hook", reads=_hooks)
def hook(
    context: Context,
    hooks: tuple[Hook, ...],
    *,
    file: Deliverable,
    ids: tuple[str, ...],
    repos: tuple[str, ...],
    commands: tuple[str, ...],
) -> Outcome:
    """The configuration is valid and has one of these hooks, from a listed repository or as a local command.

    Args:
        ids: the accepted hook ids.
        repos: the repositories that the hook may come from.
        commands: the accepted commands of a local hook.
    """
    if any(_is(context.submission, each, ids, repos, commands) for each in hooks):
        return passed()
    return failed(
        Finding(
            message=f"no hook runs {commands[0]}",
            expected=" or ".join(ids),
            actual=", ".join(f"{each.id} from {each.repo}" for each in hooks)[:300] or "no hooks",
            where=context.deliverable(file).name,
        )
    )


def _is(
    submission: Submission, hook: Hook, ids: Sequence[str], repos: Sequence[str], commands: Sequence[str]
) -> bool:
    if hook.repo != "local":
        return hook.id in ids and any(fnmatch(hook.repo.lower(), pattern) for pattern in repos)
    if hook.language == "fail":
        return False
    ran = [each.command for each in follow(hook.script, SubmissionFiles(submission), scripts=MAX_SCRIPTS)]
    # A shell does what its script says, if that can be read.
    programs = {command.program for command in ran}
    if (programs - SHELLS or programs) <= _IDLE:
        return False
    return hook.id in ids or any(matches(ran, commands, _NO_OP))


CHECKS = (hook,)
