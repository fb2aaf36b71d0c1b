"""What starts a workflow, and what its expressions are told of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import model_validator

from grader.check import Parameters
from grader.checks.workflow.triggers import filters_of, includes, patterns

if TYPE_CHECKING:
    from collections.abc import Mapping

_PULL_REQUEST_TYPES = ("opened", "synchronize", "reopened")
"""Those for which a workflow runs that names none."""


class Event(Parameters):
    """An event that starts workflows."""

    name: Literal["push", "pull_request", "schedule", "workflow_dispatch", "release"] = "push"
    """Its name."""
    branch: str = ""
    """The branch pushed to, that a pull request goes to, or on which a schedule or a dispatch runs."""
    tag: str = ""
    """The tag that is pushed, or released."""
    action: str = ""
    """The type of a pull request's event (else `opened`) or of a release's (else `published`)."""
    inputs: dict[str, str] = {}  # noqa: RUF012  (frozen by its model)
    """What a dispatch is given, by name."""

    @model_validator(mode="after")
    def _is_one_event(self) -> Self:
        if self.name == "push" and bool(self.branch) == bool(self.tag):
            raise ValueError("a push is of a `branch` or of a `tag`, so give one of them")
        if self.name == "release" and not self.tag:
            raise ValueError("a release needs its `tag`")
        if self.name in ("pull_request", "schedule", "workflow_dispatch") and (self.tag or not self.branch):
            raise ValueError(f"{self.name} needs a `branch`, and has no `tag`")
        if self.action and self.name not in ("pull_request", "release"):
            raise ValueError(f"{self.name} has no `action`")
        if self.inputs and self.name != "workflow_dispatch":
            raise ValueError(f"{self.name} has no `inputs`")
        return self

    def __hash__(self) -> int:
        return hash((self.name, self.branch, self.tag, self.action))

    @property
    def type(self) -> str:
        """Its activity type; empty where it has none."""
        usual = {"pull_request": "opened", "release": "published"}
        return self.action or usual.get(self.name, "")

    def __str__(self) -> str:
        """`a push to main`, to follow "on"."""
        if self.name == "push":
            return f"a push of the tag {self.tag}" if self.tag else f"a push to {self.branch}"
        return {
            "pull_request": f"a pull request to {self.branch} ({self.type})",
            "schedule": "a schedule",
            "workflow_dispatch": "a dispatch by hand",
            "release": f"a release ({self.type})",
        }[self.name]

    @property
    def expected(self) -> str:
        """What `on:` must have."""
        if self.name == "push":
            return f"a push event that includes {f'tag {self.tag}' if self.tag else f'branch {self.branch}'}"
        return {
            "pull_request": f"a pull_request event that includes branch {self.branch} and type {self.type}",
            "schedule": "a schedule with a valid cron expression",
            "workflow_dispatch": "a workflow_dispatch event",
            "release": f"a release event that includes type {self.type}",
        }[self.name]

    def starts(self, on: Any) -> bool:
        """Whether `on:` has the workflow run on it, as far as branches, tags and types go."""
        filters = filters_of(on, self.name)
        if filters is None:
            return False
        if self.name == "schedule":
            return any(map(_is_cron, filters["schedules"]))
        if self.name == "push":
            return includes(filters, "tags" if self.tag else "branches", self.tag or self.branch)
        if self.name == "pull_request":
            types = patterns(filters.get("types", list(_PULL_REQUEST_TYPES)))
            return self.type in types and includes(filters, "branches", self.branch)
        return self.name != "release" or self.type in patterns(filters.get("types", [self.type]))

    @property
    def context(self) -> Mapping[str, str]:
        """What `github.…` is, by its path."""
        ref, short, kind = f"refs/heads/{self.branch}", self.branch, "branch"
        if self.tag:
            ref, short, kind = f"refs/tags/{self.tag}", self.tag, "tag"
        found = {"head_ref": "", "base_ref": ""}
        if self.name == "pull_request":
            ref, short = "refs/pull/1/merge", "1/merge"
            found = {
                "head_ref": "topic",
                "base_ref": self.branch,
                "event.pull_request.base.ref": self.branch,
                "event.pull_request.head.ref": "topic",
                "event.number": "1",
            }
        if self.name == "release":
            found["event.release.tag_name"] = self.tag
        if self.type or self.tag or self.name != "push":
            found["event.action"] = self.type
        found |= {f"event.inputs.{name.lower()}": value for name, value in self.inputs.items()}
        return {**found, "event_name": self.name, "ref": ref, "ref_name": short, "ref_type": kind}


def _is_cron(entry: Any) -> bool:
    cron = entry.get("cron") if isinstance(entry, dict) else None
    return (
        isinstance(cron, str)
        and len(cron) < 200
        and re.fullmatch(r"(?:[\w*,/-]+\s+){4}[\w*,/-]+", cron.strip()) is not None
    )
