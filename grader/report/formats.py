"""Every form in which a grade is reported: one table, from which options, exports and docs are made."""

from __future__ import annotations

import contextlib
import io
import os
import pkgutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, TextIO

from grader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from grader.report.console import Colour
    from grader.results import Grade


LOAD_SECONDS = 3.0
"""After the start of a grade."""
MAX_PREFIX = 100
"""Characters of a file's name in that of what becomes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a reader of a report may choose; documents for programs have everything in them."""

    verbose: bool = False
    colour: Colour = "auto"
    previous: Grade | None = None
    """An earlier grade, with which to compare."""


class Writer(Protocol):
    """Writes a whole report to a stream; a function of the grade alone."""

    def __call__(self, grade: Grade, stream: TextIO, settings: Settings) -> None:
        """The stream may be a file, a terminal or a pipe."""


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the table."""

    name: str
    summary: str
    """Who reads it, for the docs."""
    writer: str
    """`module:function` of a `Writer`, loaded when it is wanted."""
    newline: str | None = None
    """As of `open`: what a newline becomes in a file."""

    def write(self, grade: Grade, stream: TextIO, settings: Settings) -> None:
        """Write the grade in this form."""
        write: Writer = pkgutil.resolve_name(self.writer)
        write(grade, stream, settings)


FORMATS = {
    form.name: form
    for form in (
        Format("text", "people, in a terminal", "grader.report.text:write_text"),
        Format(
            "json", "programs: the whole grade (`grader schema result`)", "grader.report.document:write_json"
        ),
        Format("html", "people, in a browser or on paper: one file", "grader.report.html:write_html"),
        Format(
            "markdown",
            "pull requests: the summary of a step, or a comment",
            "grader.report.markdown:write_markdown",
        ),
        Format("github", "GitHub Actions: annotations", "grader.report.github:write_github"),
        Format("junit", "CI services that show test results", "grader.report.junit:write_junit"),
        Format("gitlab", "GitLab: code quality", "grader.report.gitlab:write_gitlab"),
        Format("sarif", "tools that read findings of code analysis", "grader.report.sarif:write_sarif"),
        Format("gradescope", "Gradescope's results.json", "grader.report.gradescope:write_gradescope"),
        Format("classroom50", "Classroom 50's result.json", "grader.report.classroom50:write_classroom50"),
        Format("csv", "spreadsheets: a row for each criterion", "grader.report.spreadsheet:write_csv", ""),
    )
}


def load_later(names: Iterable[str]) -> threading.Timer:
    """Load the writers of these forms while a grade waits for programs; whoever starts it cancels it.

    Templates and highlighting take a third of a second, and the start is busy enough.
    """
    timer = threading.Timer(
        LOAD_SECONDS, lambda: [pkgutil.resolve_name(FORMATS[name].writer) for name in names]
    )
    timer.daemon = True
    timer.start()
    return timer


def write_file(form: str, path: Path, grade: Grade, settings: Settings) -> None:
    """Write a report into a file; a reader never sees half of it."""
    text = io.StringIO()
    FORMATS[form].write(grade, text, settings)
    write_whole(path, text.getvalue(), newline=FORMATS[form].newline)


def write_whole(path: Path, text: str, *, newline: str | None = None) -> None:
    """Write a file whole or not at all.

    Raises:
        UsageError: it cannot be written, such as on a full disk.
    """
    with whole_file(path) as file:
        stream = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline=newline)
        stream.write(text)
        stream.detach()


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """What is written in the block is the file once the block ends, over one that is there; else nothing is.

    Raises:
        UsageError: it cannot be written, such as on a full disk.
    """
    name = ""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:MAX_PREFIX]}.")
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException as error:
        if name:
            Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UsageError(f"cannot write {path}: {error.strerror}") from error
        raise


def refuse_unwritable(path: Path) -> None:
    """Better now than after a minute of grading.

    Raises:
        UsageError: the path cannot be written.
    """
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(f"cannot write to {path}: the folder must exist, and the path must be a file")


def parse_report(text: str) -> tuple[str, Path]:
    """A word such as `junit=grade.xml`, taken apart.

    Raises:
        UsageError: there is no such form, or no file.
    """
    name, equals, path = text.partition("=")
    if name not in FORMATS:
        raise UsageError(f"--report {text}: no format {name!r} (there are {', '.join(FORMATS)})")
    if not equals or not path:
        raise UsageError(f"--report {text}: name a file too, such as {name}=report")
    return name, Path(path)
