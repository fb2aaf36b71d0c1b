"""What Trivy does in a workflow: which vulnerabilities fail it, in one step or in several."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from grader.checks.workflow import simulation
from grader.checks.workflow.actions import Act, matching
from grader.documents import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from grader.checks.workflow.events import Event
    from grader.checks.workflow.facts import Workflow
    from grader.readers.shell.parser import Command
    from grader.submission.model import Submission

_ASCENDING: Final = ("UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL")
ALL: Final = frozenset(_ASCENDING)
MAX_TRIED = 50
_BLIND = ("config", "conf", "convert")
"""Commands and scan types that look for no vulnerability by themselves."""
_LISTS = ("cyclonedx", "spdx", "spdx-json", "github")
"""Formats in which the parts are listed, and nothing is looked for unless it is asked for."""
_FAILS = re.compile(r"\bexit\s*\(|\braise\b|\bassert\b|setFailed|\bthrow\b|process\.exit")
_READERS = frozenset(
    {"jq", "yq", "grep", "egrep", "fgrep", "rg", "awk", "gawk", "sed", "python", "node", "wc", "cut", "tr"}
)
"""Programs that look into a report; what others name of it (`echo`) decides nothing."""
_INTERPRETERS = ("python", "node")
_SCRIPT_ACTION = "actions/github-script"
_THRESHOLD = "severity_threshold"
"""The input of actions around Trivy that fail from a severity on."""
_SETTINGS = ("exit-code", "severity", "scanners", "format", "output", "scan-type")


@dataclass(frozen=True, slots=True)
class Scan:
    """One run of Trivy."""

    act: Act
    kind: str
    """Trivy's command: `image`, `fs`, `config`."""
    settings: Mapping[str, str]

    @property
    def exits(self) -> bool:
        """Whether its status says that something was found."""
        return self.settings.get("exit-code", "").strip() not in ("", "0")

    @property
    def finds_vulnerabilities(self) -> bool:
        """Whether it looks for vulnerabilities, rather than for misconfigurations or secrets alone."""
        if self.kind == "convert":
            return True  # of a report that another scan wrote
        scanners = set(re.split(r"[\s,]+", self.settings.get("scanners", "").lower())) - {""}
        if scanners:
            return bool({"vuln", "all"} & scanners) or any("$" in each for each in scanners)
        return self.kind not in _BLIND and self.settings.get("format", "") not in _LISTS

    @property
    def severities(self) -> frozenset[str]:
        """Those that it looks for; what only a run can tell may be any."""
        text = self.settings.get("severity", "")
        found = frozenset(re.split(r"[\s,]+", text.strip().upper())) - {""}
        return ALL if not found or "$" in text else found


def read_scan(act: Act, command: Command | None, submission: Submission) -> Scan:
    """What a run of Trivy does: by input or flag, else by variable, else by configuration file."""
    if command is None:
        given: Mapping[str, str] = {**act.step.inputs, **_from_threshold(act.step.inputs)}
        environment: Mapping[str, str] = act.step.environment
        path = given.get("trivy-config", "")
        kind = given.get("scan-type", "") or environment.get("TRIVY_SCAN_TYPE", "") or "image"
    else:
        environment = command.environment
        options = {
            "exit-code": command.option("--exit-code"),
            "severity": ",".join(command.values("--severity", "-s")) or None,
            "scanners": ",".join(command.values("--scanners", "--security-checks")) or None,
            "format": command.option("--format", "-f"),
            "output": command.option("--output", "-o"),
        }
        given = {name: value for name, value in options.items() if value is not None}
        path = command.option("--config", "-c") or ""
        kind = next((word for word in command.arguments if not word.startswith("-")), "")
    configured = _configured(submission, path or environment.get("TRIVY_CONFIG", "") or "trivy.yaml")

    def value(name: str) -> str:
        variable = "TRIVY_" + name.upper().replace("-", "_")
        return given.get(name) or environment.get(variable, "") or configured.get(name, "")

    settings = {name: value(name) for name in _SETTINGS}
    settings["scanners"] = settings["scanners"] or given.get("security-checks", "")
    return Scan(act, kind.lower(), settings)


def _from_threshold(inputs: Mapping[str, str]) -> dict[str, str]:
    """What a threshold comes to: the severities from it on, of those that are looked for."""
    threshold = inputs.get(_THRESHOLD, "").strip().upper()
    if not threshold:
        return {}
    start = _ASCENDING.index(threshold) if threshold in _ASCENDING else 0
    wanted = set(re.split(r"[\s,]+", inputs.get("severity", "").upper())) - {""} or ALL
    return {
        "exit-code": "1",
        "severity": ",".join(each for each in _ASCENDING[start:] if each in wanted) or "NONE",
    }


def _configured(submission: Submission, path: str) -> dict[str, str]:
    file = submission.file(path.removeprefix("./"))
    if file is None or isinstance(file.yaml, Problem) or not file.yaml:
        return {}
    data = file.yaml[0].data
    found: dict[str, str] = {}
    for name in _SETTINGS:
        value = data.get(name) if isinstance(data, dict) else None
        if name == "scanners" and value is None and isinstance(data, dict):
            inner = data.get("scan")
            value = inner.get("scanners") if isinstance(inner, dict) else None
        if isinstance(value, str | int):
            found[name] = str(value)
        elif isinstance(value, list):
            found[name] = ",".join(map(str, value))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """On which severities a scan, or what reads its report, fails the workflow."""

    act: Act
    severities: frozenset[str] = frozenset()
    problem: str = ""


def gates(
    workflow: Workflow,
    done: Sequence[Act],
    running: Sequence[Act],
    event: Event,
    scans: Iterable[Scan],
    submission: Submission,
) -> list[Gate]:
    """What each scan stops, by its own status or by what is made of its report."""
    return [
        _gate(workflow, done, running, event, scan, submission)
        for _, scan in zip(range(MAX_TRIED), scans, strict=False)
    ]


def _gate(
    workflow: Workflow,
    done: Sequence[Act],
    running: Sequence[Act],
    event: Event,
    scan: Scan,
    submission: Submission,
) -> Gate:
    act = scan.act
    if not scan.finds_vulnerabilities:
        return Gate(act=act, problem="this scan does not look for vulnerabilities")
    if scan.exits and simulation.fails(workflow, done, event, act):
        return Gate(act=act, severities=scan.severities)
    counted = _counted(workflow, running, scan, submission)
    if counted is not None:
        return Gate(act=act, severities=scan.severities & counted)
    if scan.exits:
        return Gate(act=act, problem="the failure of the scan is ignored")
    return Gate(act=act, problem="the scan exits with 0 whatever it finds, and nothing fails afterwards")


def _counted(
    workflow: Workflow, running: Sequence[Act], scan: Scan, submission: Submission
) -> frozenset[str] | None:
    """The severities on which what reads the report fails; None where nothing does."""
    report = posixpath.basename(scan.settings.get("output", "")) or _redirected(scan.act)
    later = [act for act in running if simulation.comes_after(workflow, act, scan.act)]
    found: frozenset[str] | None = None
    for key in dict.fromkeys((act.job.id, act.position[0]) for act in later):
        step = [act for act in later if (act.job.id, act.position[0]) == key]
        reading = [act for act in step if _reads(act, report, scan.act, submission)]
        if reading and _can_fail(step, reading, submission):
            looking = [act for act in step if act.command is None or act.command.program in _READERS]
            text = " ".join(_source(act, submission) for act in {*reading, *looking} if _looks(act))
            named = frozenset(re.findall(r"\b(UNKNOWN|LOW|MEDIUM|HIGH|CRITICAL)\b", text))
            found = (found or frozenset()) | (named or ALL)
    return found


def _redirected(act: Act) -> str:
    """The file that a scan's output is written to by the shell: `trivy … > report.json`."""
    for line in act.step.script.splitlines():
        if "trivy" in line and (found := re.search(r">\s*([\w./-]+)", line)):
            return posixpath.basename(found[1])
    return ""


def _reads(act: Act, report: str, scan: Act, submission: Submission) -> bool:
    """Whether it looks into the report, or, where that is not a file, at what the scan printed."""
    if report:
        return report in _source(act, submission)
    return act.step is scan.step and _looks(act)


def _looks(act: Act) -> bool:
    return act.command is None or act.command.program in _READERS or act.command.program.endswith(".py")


def _can_fail(step: Sequence[Act], reading: Sequence[Act], submission: Submission) -> bool:
    first = step[0]
    if first.step.failure_ignored or first.job.failure_ignored:
        return False
    for act in reading:
        if act.command is None:
            if act.step.uses.lower() == _SCRIPT_ACTION and _FAILS.search(act.text):
                return True
        elif not act.goes_on and _interprets(act) and _FAILS.search(_source(act, submission)):
            return True
    return first.command is not None and first.command.trace[0].script.outcome.may_fail


def _interprets(act: Act) -> bool:
    command = act.command
    return command is not None and (command.program in _INTERPRETERS or command.program.endswith(".py"))


def _source(act: Act, submission: Submission) -> str:
    """What an act says, the source of a Python script of the submission among it."""
    if act.command is None or not _interprets(act):
        return act.text
    names = (posixpath.normpath(posixpath.join(act.step.directory, word)) for word in act.command.words)
    files = [submission.file(name) for name in names if name.endswith(".py")]
    texts = [file.text for file in files if file is not None and isinstance(file.text, str)]
    return " ".join((act.text, *texts))


def scans_of(
    acts: Iterable[Act], commands: Sequence[str], no_op_options: Sequence[str], submission: Submission
) -> list[Scan]:
    """The runs of Trivy among acts that are known to be some."""
    return [read_scan(act, matching(act, commands, no_op_options), submission) for act in acts]
