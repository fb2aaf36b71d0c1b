"""Whose fault it is.

What a candidate did wrong is a value: a `Finding` in a failed `Outcome`, never an exception.
An exception is somebody else's fault, and its class says whose.
"""

from __future__ import annotations


class UsageError(Exception):
    """The user can fix it: a missing path, a file that is not an archive, an unknown task. Exit code 2."""


class RubricError(UsageError):
    """The rubric author can fix it; the message has file, line and path. Exit code 2."""


class ToolMissing(Exception):  # noqa: N818  (a state of the machine rather than an error)
    """This machine lacks a tool that a check needs: the criterion is `unverified`."""

    def __init__(self, tool: str, *, install: str = "") -> None:
        self.tool = tool
        super().__init__(f"{tool} is not on this machine" + (f" ({install})" if install else ""))


class NothingRuns(ToolMissing):
    """Candidate code may not run (`--static`), and the check cannot decide by reading alone."""

    def __init__(self) -> None:
        super().__init__("")
        self.args = ("not run: --static runs no candidate code",)


class NotSearched(ToolMissing):
    """A bound left files or commands unread that may hold what the check misses."""

    def __init__(self, missed: str, unread: str) -> None:
        super().__init__("")
        self.args = (f"{missed}, but {unread}",)


class GraderFault(Exception):  # noqa: N818  (the word that the design uses)
    """The grader failed, as when a service did not start. Retried once, then the criterion is `error`."""

    def __init__(self, message: str, *, log_tail: str = "") -> None:
        self.log_tail = log_tail
        super().__init__(message)
