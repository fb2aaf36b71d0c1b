""".gitignore: what git ignores, asked of git itself in a repository that holds only the ignore files."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from grader.check import check
from grader.command import Completed, run
from grader.context import source_file
from grader.errors import GraderFault
from grader.results import Evidence, Finding, Outcome, failed, passed
from grader.runtime.temporary import temporary_directory
from grader.submission.likelihood import by_likelihood

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from grader.context import Context
    from grader.documents import SourceFile

MAX_IGNORE_FILES = 200
MAX_IGNORE_BYTES = 2**20
"""Limit for all ignore files together: git compares every pattern with every path."""
SECONDS = 30
MAX_SUBMITTED = 500
"""Of the submission's own files."""
_INSTALLED = frozenset({"site-packages", ".venv", "venv", "node_modules"})
MAX_NAMED = 4
"""How many of the acceptable files a finding names: enough as an example, too few to copy."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The pattern that decided about a path, the last one that matches it."""

    source: str
    line: int
    pattern: str

    @property
    def ignores(self) -> bool:
        """Whether the pattern ignores the path; otherwise it re-includes it."""
        return not self.pattern.startswith("!")

    @property
    def where(self) -> str:
        """`.gitignore:12`."""
        return f"{self.source}:{self.line}"


@check("gitignore.ignores", reads=source_file, evidence=Evidence.RUNS, tools=("git",))
def ignores(context: Context, file: SourceFile, *, paths: tuple[str, ...]) -> Outcome:
    """Git ignores all of these files.

    Args:
        paths: the files, which need not exist.
    """
    rules = _rules(context, paths)
    if isinstance(rules, Finding):
        return failed(rules)
    findings, remarks = _tracked(rules, paths, file.name), _left_out(context)
    return failed(*findings, *remarks) if findings else passed(*remarks)


@check("gitignore.ignores_any", reads=source_file, evidence=Evidence.RUNS, tools=("git",))
def ignores_any(context: Context, file: SourceFile, *, paths: tuple[str, ...]) -> Outcome:
    """Git ignores at least one of these files.

    Args:
        paths: the files, which need not exist; one is enough.
    """
    rules = _rules(context, paths)
    if isinstance(rules, Finding):
        return failed(rules)
    if any(_ignored(rules, path) for path in paths):
        return passed(*_left_out(context))
    some = ", ".join(paths[:MAX_NAMED]) + (" or another" if len(paths) > MAX_NAMED else "")
    return failed(
        Finding(message=f"none of {some} is ignored", expected="at least one of them", where=file.name)
    )


@check("gitignore.tracks", reads=source_file, evidence=Evidence.RUNS, tools=("git",))
def tracks(
    context: Context,
    file: SourceFile,
    *,
    paths: tuple[str, ...],
    while_ignoring: tuple[str, ...],
    submitted: tuple[str, ...] = (),
) -> Outcome:
    """Git tracks these files although it ignores others.

    Args:
        paths: files that git must track.
        while_ignoring: files that git must ignore at the same time.
        submitted: globs of the submission's own files that git must track, too.
    """
    own = [str(source.path) for source in context.submission.matching(*submitted) if not _foreign(source)]
    paths = tuple(dict.fromkeys([*paths, *own[:MAX_SUBMITTED]]))
    rules = _rules(context, [*while_ignoring, *paths])
    if isinstance(rules, Finding):
        return failed(rules)
    findings = _tracked(rules, while_ignoring, file.name)
    for path in paths:
        rule = rules[path]
        if rule is not None and rule.ignores:
            findings.append(
                Finding(
                    message=f"{path} is ignored, so git would not track it",
                    expected="tracked",
                    actual=f"ignored by the pattern {rule.pattern!r}",
                    where=rule.where,
                )
            )
    left = len(own) - MAX_SUBMITTED
    remarks = [Finding(message=f"{left:,} of {len(own):,} files were not looked at")] if left > 0 else []
    remarks += _left_out(context)
    return failed(*findings, *remarks) if findings else passed(*remarks)


def _foreign(source: SourceFile) -> bool:
    """Whether a file came with an installed package."""
    return not _INSTALLED.isdisjoint(source.path.parts)


def _ignored(rules: Mapping[str, Rule | None], path: str) -> bool:
    rule = rules[path]
    return rule is not None and rule.ignores


def _tracked(rules: Mapping[str, Rule | None], paths: Sequence[str], file: str) -> list[Finding]:
    """The files that are not ignored, those together for which the same pattern, or none, decides."""
    tracked: dict[Rule | None, list[str]] = {}
    for path in paths:
        if not _ignored(rules, path):
            tracked.setdefault(rules[path], []).append(path)
    return [_not_ignored(rule, same, file) for rule, same in tracked.items()]


def _not_ignored(rule: Rule | None, paths: Sequence[str], file: str) -> Finding:
    first, *others = paths
    message = f"{first} is not ignored"
    if others:
        message = f"not ignored: {', '.join(paths)}"
    if rule is None:
        actual = "no pattern matches it" if not others else "no pattern matches"
        return Finding(message=message, actual=actual, where=file)
    return Finding(message=message, actual=f"re-included by the pattern {rule.pattern!r}", where=rule.where)


def _rules(context: Context, paths: Sequence[str]) -> Mapping[str, Rule | None] | Finding:
    """What decides about each path, or why git cannot tell; one repository and question for all of them."""
    return context.memo.once(("gitignore", *paths), lambda: _ask(context, paths))


def _ignore_files(context: Context) -> list[SourceFile]:
    found = context.submission.matching(".gitignore")
    return by_likelihood(file for file in found if ".git" not in file.path.parts)


def _left_out(context: Context) -> tuple[Finding, ...]:
    """A remark where there were too many ignore files to read."""
    count = len(_ignore_files(context))
    left = count - MAX_IGNORE_FILES
    return (Finding(message=f"{left:,} of {count:,} ignore files were not read"),) if left > 0 else ()


class _NoAnswer(Exception):  # noqa: N818  (whose failure it is, is not told yet)
    """Git did not say what is ignored."""


def _ask(context: Context, paths: Sequence[str]) -> Mapping[str, Rule | None] | Finding:
    git = context.tools.require("git")
    files = [file.path for file in _ignore_files(context)[:MAX_IGNORE_FILES]]
    if sum((context.submission.root / file).stat().st_size for file in files) > MAX_IGNORE_BYTES:
        return Finding(
            message=f"the ignore files were not checked: they are over {MAX_IGNORE_BYTES >> 20} MB together",
            where=str(files[0]),
        )
    try:
        return _answer(git, context.submission.root, files, paths)
    except _NoAnswer as error:
        # It is what the files hold, unless the tool or the machine fails without them too.
        try:
            _answer(git, context.submission.root, (), paths)
        except _NoAnswer:
            raise GraderFault("git failed to list the ignored files", log_tail=str(error)) from error
        return Finding(message="git cannot list the ignored files", detail=str(error), where=str(files[0]))


def _answer(
    git: Path, submission: Path, files: Sequence[PurePosixPath], paths: Sequence[str]
) -> Mapping[str, Rule | None]:
    with _repository(git) as root:
        for file in files:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(submission / file, root / file)
        nested = [str(file) for file in files if len(file.parts) > 1]
        # An ignore file that hides itself, as virtual environments and caches bring one along, is in
        # nobody's repository, so it does not speak for the candidate.
        for hidden in _hidden(git, root, nested):
            (root / hidden).unlink()
        for path in paths:
            _touch(root / path)
        answer = _check_ignore(git, root, paths)
    return {path: answer.get(path) for path in paths}


@contextmanager
def _repository(git: Path) -> Iterator[Path]:
    with temporary_directory() as scratch:
        root = Path(scratch) / "tree"
        root.mkdir()
        done = _git(git, root, "init", "--quiet", "--template=")
        if done.returncode:
            raise GraderFault("git could not create a scratch repository", log_tail=done.output)
        yield root


def _git(git: Path, root: Path, *words: str, stdin: str = "") -> Completed:
    home = str(root.parent)
    clean = {
        "HOME": home,
        "XDG_CONFIG_HOME": home,  # git looks for an ignore file of the user's there
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    return run([git, *words], cwd=root, env=clean, stdin=stdin, timeout=SECONDS)


def _hidden(git: Path, root: Path, nested: Sequence[str]) -> Iterator[str]:
    if nested:
        for path, rule in _check_ignore(git, root, nested).items():
            if rule.ignores and rule.source == path:
                yield path


def _touch(path: Path) -> None:
    """A probe is a real file: `.venv/` ignores a folder, and only git can tell where one is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except (FileExistsError, NotADirectoryError):  # an ignore file lives where the probe would: git
        pass  # is asked about the path all the same


def _check_ignore(git: Path, root: Path, paths: Sequence[str]) -> dict[str, Rule]:
    done = _git(git, root, "check-ignore", "-v", "-z", "--no-index", "--stdin", stdin="\0".join(paths))
    if done.timed_out or done.returncode not in (0, 1):
        raise _NoAnswer(f"no answer within {SECONDS} s" if done.timed_out else done.output[-2000:])
    fields = done.stdout.split("\0")
    return {
        path: Rule(source, int(line or 0), pattern)
        for source, line, pattern, path in zip(*(fields[start::4] for start in range(4)), strict=False)
    }


CHECKS = (ignores, ignores_any, tracks)
