"""Which environment a command works on: what it names, what was chosen before it, what its files say."""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.documents import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from grader.checks.makefile.steps import Step
    from grader.documents import SourceFile
    from grader.readers.shell.parser import Command
    from grader.submission.model import Submission

MAX_FILES = 50
"""Manifests of a folder whose namespaces are read."""
_CHOOSING = (
    *("-n", "--namespace", "--context", "--kube-context", "--cluster", "--kubeconfig"),
    *("-e", "--environment", "-p", "--profile", "-k", "--kustomize"),
)
"""Options that say where a command works, whatever else it names."""


def named(command: Command, known: Collection[str]) -> frozenset[str]:
    """Which of the known environments a command names."""
    return _known(" ".join((command.program, *command.arguments, *command.environment.values())), known)


def elsewhere(
    step: Step, aimed: Collection[str], at: Sequence[str], not_at: Sequence[str], submission: Submission
) -> str:
    """The environment on which a command works, if it is none of those that are right.

    Args:
        aimed: what an earlier command has chosen.
        at: the right ones.
        not_at: wrong ones.
    """
    known = (*at, *not_at)
    command = step.command
    chosen = [
        places
        for option in _CHOOSING
        for value in command.values(option)
        if (places := _known(value, known)) and not command.program.startswith("docker")
    ]
    wrong = next((places for places in chosen if places.isdisjoint(at)), None)
    if wrong is None and not chosen:
        places = named(command, known) or _from_sources(step, known) or frozenset(aimed)
        wrong = places if places and places.isdisjoint(at) else None
    if wrong is None:
        spaces = (_known(space, known) for space in _namespaces(step, submission))
        wrong = next((places for places in spaces if places and places.isdisjoint(at)), None)
    return ", ".join(sorted(wrong)) if wrong else ""


def _known(text: str, known: Collection[str]) -> frozenset[str]:
    words = (word.rstrip("0123456789") for word in re.split(r"[^a-z0-9]+", text.lower()))
    return frozenset(words).intersection(known)


def _from_sources(step: Step, known: Collection[str]) -> frozenset[str]:
    """What is piped into it comes from where the overlay or the template is for."""
    return frozenset[str]().union(*(named(source, known) for source in step.sources))


def _namespaces(step: Step, submission: Submission) -> Iterator[str]:
    """The namespaces in the files that are applied."""
    command = step.command
    for option in ("-k", "--kustomize", "-f", "--filename"):
        for value in command.values(option):
            for folder in step.folders:
                path = posixpath.normpath(posixpath.join(folder, value))
                for file in _files(submission, path):
                    yield from _in_file(file)


def _files(submission: Submission, path: str) -> list[SourceFile]:
    pure = PurePosixPath(path)
    if (file := submission.file(pure)) is not None:
        return [file]
    inside = submission.matching("*.yaml", "*.yml")
    return [file for file in inside if file.path.parent == pure][:MAX_FILES]


def _in_file(file: SourceFile) -> Iterator[str]:
    documents = file.yaml
    for document in () if isinstance(documents, Problem) else documents:
        match document.data:
            case {"kind": "Kustomization", "namespace": str(space)}:
                yield space
            case {"apiVersion": _, "metadata": {"namespace": str(space)}}:
                yield space
            case {"resources": _, "namespace": str(space)}:
                yield space
