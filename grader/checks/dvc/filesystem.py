"""DVC's own reading of its files, kept to one submission: it opens nothing else and prints nothing."""

from __future__ import annotations

import io
import logging
import posixpath
import re
import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from grader.documents import Problem, SourceFile, too_deep
from grader.results import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from grader.submission.model import Submission

CRASHES = (TypeError, ValueError, AttributeError, LookupError, AssertionError, RecursionError)
"""What DVC raises, instead of an error of its own, on values that nobody expects in such a file."""

MAX_CHARACTERS = 300_000
"""Of all files that DVC opens for one; it reads some 40,000 a second."""
MAX_TEMPLATES = 1_000
"""`${…}` in one file."""
MAX_FILLED = 2_000_000
"""Characters that all templates of a pipeline may come to."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""DVC marks the place in a broken template for a terminal."""


class SubmissionFiles:
    """The part of a DVC file system that its YAML readers use, limited to one submission's files."""

    sep = "/"
    join = staticmethod(posixpath.join)
    normpath = staticmethod(posixpath.normpath)
    dirname = staticmethod(posixpath.dirname)

    def __init__(self, submission: Submission) -> None:
        self._submission = submission
        self._left = MAX_CHARACTERS

    @staticmethod
    def relpath(path: str, start: str = ".") -> str:
        """The path from the submission's root."""
        return posixpath.relpath(path, start)

    @staticmethod
    def suffix(path: str) -> str:
        """`.yaml`"""
        return posixpath.splitext(path)[1]

    def exists(self, path: str) -> bool:
        """Whether the file is in the submission."""
        return self._file(path) is not None or self.isdir(path)

    def isdir(self, path: str) -> bool:
        """Whether the submission has files under the path."""
        wanted = posixpath.normpath(path)
        return any(str(parent) == wanted for file in self._submission.files for parent in file.parents)

    def open(self, path: str, encoding: str = "utf-8") -> io.StringIO:
        """The file's text.

        Raises:
            Unreadable: it is not text, YAML that grows without end, or more than DVC gets through.
        """
        assert encoding  # noqa: S101  (part of the interface; the text is UTF-8 already)
        file = self._file(path)
        if file is None:
            raise FileNotFoundError(path)
        if isinstance(file.text, Problem):
            raise Unreadable(file.text)
        plain = self.suffix(path).lower() not in (".json", ".toml", ".py")
        if plain and isinstance(file.yaml, Problem):
            raise Unreadable(file.yaml)
        self._left -= len(file.text)
        if self._left < 0:
            raise Unreadable(Problem(file.name, f"DVC is given no more than {MAX_CHARACTERS:,} characters"))
        if file.text.count("${") > MAX_TEMPLATES:
            raise Unreadable(Problem(file.name, f"DVC is given no more than {MAX_TEMPLATES:,} templates"))
        return io.StringIO(file.text)

    def _file(self, path: str) -> SourceFile | None:
        return self._submission.file(posixpath.normpath(path))


class Unreadable(Exception):  # noqa: N818  (carries a value)
    """A file that DVC opened cannot be read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class _Filled(threading.local):
    left = 0
    file = ""


_filled = _Filled()


@contextmanager
def filling_in(file: str) -> Iterator[None]:
    """Bound the size of DVC's templates within the block: values within values can grow without end."""
    _watch_templates()
    _filled.left, _filled.file = MAX_FILLED, file
    yield


@cache
def _watch_templates() -> None:
    """Once, since the function has no other door: `Context.resolve_str` calls it by its name."""
    from dvc.parsing import context

    fill_in = context.str_interpolate

    def bounded(*arguments: Any, **options: Any) -> Any:
        text = fill_in(*arguments, **options)
        _filled.left -= len(text)
        if _filled.left < 0:
            message = f"its templates come to more than {MAX_FILLED:,} characters"
            raise Unreadable(Problem(_filled.file, message))
        return text

    context.str_interpolate = bounded


def quiet() -> None:
    """Keep DVC from writing to our streams; importing it sets up log handlers."""
    import dvc

    for name in (dvc.__name__, "dvc_data", "dvc_objects"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def reading(file: SourceFile, read: Callable[[], Any]) -> Any:
    """What `read` returns, or a finding that says in DVC's words why it does not read the file."""
    if isinstance(file.text, str) and too_deep(file.text):
        return refusal(file, "it is nested too deeply")
    quiet()
    from dvc.exceptions import DvcException
    from dvc.utils.strictyaml import YAMLSyntaxError, YAMLValidationError

    try:
        return read()
    except Unreadable as error:
        return error.problem.finding("a file that DVC can read")
    except YAMLValidationError as error:
        return _invalid(file, error.exc)
    except YAMLSyntaxError as error:
        mark = getattr(error.exc.__cause__, "problem_mark", None)
        said = getattr(error.exc.__cause__, "problem", None) or str(error)
        return refusal(file, said, mark.line + 1 if mark else None)
    except DvcException as error:
        return refusal(file, str(error))
    except CRASHES as error:
        return refusal(file, f"{type(error).__name__}: {error}")


def refusal(file: SourceFile, said: str, line: int | None = None) -> Finding:
    """The finding for a file that DVC cannot read."""
    plain = " ".join(_COLOURS.sub("", said).split())
    return Finding(message=f"DVC cannot read it: {plain[:400]}", where=file.where(line))


def _invalid(file: SourceFile, error: Any) -> Finding:
    """The first thing that a schema of DVC's complains about, with its line."""
    first = next(iter(getattr(error, "errors", ())), error)
    path = tuple(getattr(first, "path", ()))
    said = getattr(first, "error_message", "") or str(first)
    place = " at " + ".".join(map(str, path)) if path else ""
    documents = file.yaml
    line = documents[0].line(*path) if isinstance(documents, tuple) and documents else None
    return refusal(file, said + place, line)
