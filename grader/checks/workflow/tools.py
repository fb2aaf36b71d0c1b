"""What particular tools do in a workflow: coverage options, Trivy's severities, image builds and pushes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grader.checks.workflow.actions import Act, matching, uses
from grader.documents import Problem, parse_ini

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grader.readers.shell.parser import Command
    from grader.submission.model import Submission


def configured_options(submission: Submission) -> str:
    """The options that pytest takes from its configuration; the first file that has any wins."""
    for name, section in (
        ("pytest.ini", "pytest"),
        (".pytest.ini", "pytest"),
        ("pyproject.toml", ""),
        ("tox.ini", "pytest"),
        ("setup.cfg", "tool:pytest"),
    ):
        file = submission.file(name)
        if file is None:
            continue
        options = _from_toml(file.toml) if not section else _from_ini(file.text, section)
        if options:
            return options
    return ""


def _from_toml(data: dict[str, Any] | Problem) -> str:
    match data:
        case {"tool": {"pytest": {"ini_options": {"addopts": str(options)}}}}:
            return options
        case {"tool": {"pytest": {"ini_options": {"addopts": list(options)}}}}:
            return " ".join(map(str, options))
    return ""


def _from_ini(text: str | Problem, section: str) -> str:
    parser = text if isinstance(text, Problem) else parse_ini(text, "")
    if isinstance(parser, Problem):
        return ""
    return parser.get(section, "addopts", fallback="") or ""


def measures(
    act: Act, command: Command | None, option: str, measuring: Sequence[str], configured: str
) -> bool:
    """Whether a run of the tests measures coverage."""
    if command is None:
        return False
    if any(program in act.through or program == command.program for program in measuring):
        return True
    words = [*command.arguments, *command.environment.get("PYTEST_ADDOPTS", "").split(), *configured.split()]
    turned_off = any(word == f"--no-{option.removeprefix('--')}" for word in words)
    return not turned_off and any(re.fullmatch(rf"{re.escape(option)}(?:[-=].*)?", word) for word in words)


@dataclass(frozen=True, slots=True)
class Scan:
    """One run of Trivy."""

    exit_code: str
    severities: str
    """Those it looks for, empty for all."""
    pardoned: bool

    def complaint(self, wanted: Sequence[str]) -> str | None:
        """Why it does not fail the workflow on each of the severities."""
        if self.exit_code.strip() in ("", "0"):
            return "the scan ends with status 0 whatever it finds"
        if self.pardoned:
            return "the scan's failure is undone"
        if "${{" in self.severities:
            return None  # only a run can tell
        found = set(re.split(r"[\s,]+", self.severities.strip().upper())) - {""}
        if missing := [severity for severity in wanted if severity not in found] if found else []:
            return f"the scan does not look for {', '.join(missing)}"
        return None


def scan(act: Act, command: Command | None, submission: Submission) -> Scan:
    """What a run of Trivy does: by input or flag, else by variable, else by configuration file."""
    if command is None:
        given = act.step.inputs
        environment: Mapping[str, str] = act.step.environment
        path = given.get("trivy-config", "")
    else:
        environment = command.environment
        options = {
            "exit-code": command.option("--exit-code"),
            "severity": ",".join(command.values("--severity", "-s")) or None,
        }
        given = {name: value for name, value in options.items() if value is not None}
        path = command.option("--config", "-c") or ""
    configured = _configured(submission, path or environment.get("TRIVY_CONFIG", "") or "trivy.yaml")

    def value(name: str) -> str:
        variable = "TRIVY_" + name.upper().replace("-", "_")
        return given.get(name) or environment.get(variable, "") or configured.get(name, "")

    return Scan(value("exit-code"), value("severity"), act.pardoned)


def _configured(submission: Submission, path: str) -> dict[str, str]:
    file = submission.file(path.removeprefix("./"))
    if file is None or isinstance(file.yaml, Problem) or not file.yaml:
        return {}
    data = file.yaml[0].data
    found: dict[str, str] = {}
    for name in ("exit-code", "severity"):
        value = data.get(name) if isinstance(data, dict) else None
        if isinstance(value, str | int):
            found[name] = str(value)
        elif isinstance(value, list):
            found[name] = ",".join(map(str, value))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageWords:
    """The commands and actions that make images."""

    build: Sequence[str]
    push: Sequence[str]
    both: Sequence[str]
    actions: Sequence[str]
    pushing_actions: Sequence[str]

    def done_by(self, act: Act) -> frozenset[str]:
        """Whether an act is a `build`, a `push`, both or neither."""
        if matching(act, self.both) is not None or uses(act, self.pushing_actions):
            return frozenset({"build", "push"})
        if uses(act, self.actions):
            return frozenset({"build", "push"} if _action_pushes(act.step.inputs) else {"build"})
        found = {"build": self.build, "push": self.push}
        return frozenset(name for name, words in found.items() if matching(act, words) is not None)

    def released(self, done: Sequence[Act]) -> list[Act]:
        """The acts that give an image away, in jobs that build it too; else the next best."""
        did = {act: self.done_by(act) for act in done}
        building = {act.job.id for act, names in did.items() if "build" in names}
        pushes = [act for act, names in did.items() if "push" in names]
        if pushes:
            return [act for act in pushes if act.job.id in building] or pushes
        # An image may be built elsewhere too, to be tested or scanned.
        last = next((act.job.id for act in reversed(done) if act.job.id in building), "")
        return [act for act, names in did.items() if "build" in names and act.job.id == last]


def _action_pushes(inputs: Mapping[str, str]) -> bool:
    """By `push: true` or by its outputs; an expression that only a run can tell may well be true."""
    push = inputs.get("push", "").strip().lower()
    outputs = inputs.get("outputs", "").replace(" ", "").lower()
    return push == "true" or push.startswith("${{") or "push=true" in outputs or "type=registry" in outputs
