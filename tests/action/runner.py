"""Plays a composite action as GitHub's runner does, with the runner's own reading of logs, and its limits.

After `ActionCommand.cs` and `ActionCommandManager.cs` of actions/runner: a line is a command if it begins
with `::` after spaces, or has `##[` anywhere; while commands are stopped, only the token resumes them. What
the runner or the service would drop in silence, or refuse, is a failure here.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_ANNOTATIONS = 10
MAX_SUMMARY = 2**20
LEVELS = ("error", "warning", "notice")
COMMANDS = {
    *LEVELS,
    *("debug", "group", "endgroup", "echo", "add-mask", "add-matcher", "remove-matcher", "add-path"),
    *("set-env", "set-output", "save-state", "stop-commands"),
}
PROPERTIES = {"file", "line", "endLine", "col", "endColumn", "title"}
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<sign>==|!=|&&|\|\||!|\(|\))|(?P<name>[\w-]+(?:\.[\w-]+)*))"
)


class Refused(AssertionError):  # noqa: N818
    """GitHub would drop or refuse something of this."""


@dataclass(frozen=True, slots=True)
class Command:
    """A line of the log that the runner obeyed."""

    name: str
    data: str
    properties: Mapping[str, str]


@dataclass(slots=True)
class Outcome:
    """What is left of a run of the action."""

    failed: bool = False
    outputs: dict[str, str] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    """All that were obeyed, but for the fences."""
    log: list[str] = field(default_factory=list)
    summary: str = ""
    uses: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    """The names of the steps that ran."""

    @property
    def annotations(self) -> list[Command]:
        return [each for each in self.commands if each.name in LEVELS]


class Runner:
    """One job's runner.

    Args:
        uses: action without its version -> its stand-in, from inputs to outputs.
        instead: id of a step -> a script in place of its own.
    """

    def __init__(
        self,
        action: Path,
        workspace: Path,
        temporary: Path,
        *,
        uses: Mapping[str, Callable[[Mapping[str, str]], Mapping[str, str]]],
        instead: Mapping[str, str],
        environment: Mapping[str, str],
    ) -> None:
        self.action, self.workspace, self.temporary = action, workspace, temporary
        self.document: dict[str, Any] = yaml.safe_load((action / "action.yml").read_text())
        self.uses, self.instead, self.environment = uses, instead, environment

    def run(self, **inputs: str) -> Outcome:
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        if unknown := given.keys() - self.document["inputs"].keys():
            raise Refused(f"unexpected inputs {unknown}")
        outcome = Outcome()
        context: dict[str, Any] = {
            "github": {"action_path": str(self.action), "token": "the job's token"},
            "runner": {"os": "Linux", "arch": "X64", "temp": str(self.temporary)},
            "steps": {},
        }
        context["inputs"] = {
            name: given.get(name, interpolate(str(row.get("default", "")), context))
            for name, row in self.document["inputs"].items()
        }
        for number, step in enumerate(self.document["runs"]["steps"]):
            self._step(step, f"step-{number}", context, outcome)
        outcome.outputs = {
            name: interpolate(row["value"], context) for name, row in self.document["outputs"].items()
        }
        return outcome

    def _step(self, step: dict[str, Any], key: str, context: dict[str, Any], outcome: Outcome) -> None:
        known = {"name", "id", "if", "uses", "with", "env", "run", "shell", "continue-on-error"}
        if unknown := step.keys() - known:
            raise Refused(f"a step of a composite action has {unknown}")
        name = step.get("id", key)
        context["steps"][name] = {"outputs": {}}
        if outcome.failed or not is_true(step.get("if", ""), context):
            return
        outcome.steps.append(step["name"])
        if "uses" in step:
            if not PINNED.fullmatch(step["uses"]):
                raise Refused(f"{step['uses']} is not pinned")
            words = {each: interpolate(str(value), context) for each, value in step["with"].items()}
            action = step["uses"].partition("@")[0]
            outcome.uses.append((action, words))
            context["steps"][name]["outputs"] = dict(self.uses[action](words))
            return
        if "${{" in step["run"]:
            raise Refused("an expression in a script")
        environment = {each: interpolate(str(value), context) for each, value in step.get("env", {}).items()}
        context["steps"][name]["outputs"] = self._script(
            self.instead.get(name, step["run"]), name, environment, outcome
        )

    def _script(
        self, script: str, name: str, environment: Mapping[str, str], outcome: Outcome
    ) -> dict[str, str]:
        folder = self.temporary / "_runner"
        folder.mkdir(exist_ok=True)
        files = {
            variable: folder / f"{variable}-{name}"
            for variable in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
        }
        for path in files.values():
            path.touch()
        text = folder / f"{name}.sh"
        text.write_text(script)
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(text)],
            cwd=self.workspace,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.temporary),
                "TMPDIR": str(self.temporary),
                "CI": "true",
                "GITHUB_ACTIONS": "true",
                "GITHUB_WORKSPACE": str(self.workspace),
                "RUNNER_TEMP": str(self.temporary),
                **self.environment,
                **{variable: str(path) for variable, path in files.items()},
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self._read_log(done.stdout.decode("utf-8", "replace"), outcome)
        summary = files["GITHUB_STEP_SUMMARY"].read_bytes()
        if len(summary) > MAX_SUMMARY:
            raise Refused(f"a summary of {len(summary)} bytes")
        outcome.summary += summary.decode()
        for variable in ("GITHUB_ENV", "GITHUB_PATH"):
            if files[variable].read_bytes():
                raise Refused(f"{variable} was written to")
        outcome.failed = outcome.failed or done.returncode != 0
        return read_outputs(files["GITHUB_OUTPUT"].read_text())

    @staticmethod
    def _read_log(text: str, outcome: Outcome) -> None:
        levels: Counter[str] = Counter()
        token = ""
        # A carriage return ends a line too, for the runner's reader of streams.
        for line in re.split(r"\r\n|\r|\n", text):
            outcome.log.append(line)
            command = parse(line, COMMANDS | ({token} if token else set()))
            if command is None:
                continue
            if token:
                token = "" if command.name == token else token
                continue
            if command.name == "stop-commands":
                token = command.data.casefold()
                continue
            outcome.commands.append(command)
            levels[command.name] += 1
            if command.name in LEVELS:
                check_annotation(command)
            if levels[command.name] > MAX_ANNOTATIONS:
                raise Refused(f"the eleventh {command.name} of a step")
        if token:
            raise Refused("the log ends with commands stopped")


def parse(line: str, registered: set[str]) -> Command | None:
    return _parse_v2(line.lstrip(), registered) or _parse_v1(line, registered)


def _parse_v2(line: str, registered: set[str]) -> Command | None:
    if not line.startswith("::") or (end := line.find("::", 2)) < 0:
        return None
    name, _, properties = line[2:end].partition(" ")
    if name.casefold() not in registered:
        return None
    pairs = [each.split("=", 1) for each in properties.strip().split(",") if "=" in each]
    return Command(
        name.casefold(),
        unescape(line[end + 2 :], "%0D", "%0A", "%25"),
        {key: unescape(value, "%0D", "%0A", "%3A", "%2C", "%25") for key, value in pairs if key and value},
    )


def _parse_v1(line: str, registered: set[str]) -> Command | None:
    found = re.search(r"##\[([^\]]*)\](.*)", line)
    if found is None:
        return None
    name = found[1].partition(" ")[0].casefold()
    return Command(name, found[2], {}) if name in registered else None


def unescape(text: str, *escapes: str) -> str:
    for each in escapes:
        text = text.replace(each, chr(int(each[1:], 16)))
    return text


def check_annotation(command: Command) -> None:
    if unknown := command.properties.keys() - PROPERTIES:
        raise Refused(f"an annotation has {unknown}: {command}")
    path = command.properties.get("file", "")
    if path.startswith("/") or ".." in path.split("/"):
        raise Refused(f"an annotation outside the workspace: {command}")
    for name in ("line", "endLine", "col", "endColumn"):
        if not command.properties.get(name, "1").isdecimal():
            raise Refused(f"an annotation whose {name} is no number: {command}")


def read_outputs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if not equals or "<<" in name:
            raise Refused(f"not an output that this runner reads: {line}")
        found[name] = value
    return found


def interpolate(text: str, context: Mapping[str, Any]) -> str:
    return re.sub(r"\$\{\{(.*?)\}\}", lambda match: str(evaluate(match[1], context)), text)


def is_true(condition: str, context: Mapping[str, Any]) -> bool:
    return not condition or bool(evaluate(condition, context))


def evaluate(text: str, context: Mapping[str, Any]) -> Any:
    """An expression of names, texts, comparisons, `&&`, `||`, `!` and parentheses."""
    words: list[tuple[str, str]] = []
    place = 0
    while text[place:].strip():
        match = TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise Refused(f"an expression that this runner cannot read: {text}")
        words.append((match.lastgroup, match[match.lastgroup]))
        place = match.end()

    def either() -> Any:
        value = both()
        while words and words[0][1] == "||":
            words.pop(0)
            other = both()
            value = value or other
        return value

    def both() -> Any:
        value = compared()
        while words and words[0][1] == "&&":
            words.pop(0)
            other = compared()
            value = value and other
        return value

    def compared() -> Any:
        value = single()
        while words and words[0][1] in ("==", "!="):
            equal = words.pop(0)[1] == "=="
            value = (str(value).casefold() == str(single()).casefold()) == equal
        return value

    def single() -> Any:
        kind, word = words.pop(0)
        if word == "!":
            return not single()
        if word == "(":
            value = either()
            words.pop(0)
            return value
        return word[1:-1].replace("''", "'") if kind == "text" else look_up(word, context)

    value = either()
    if words:
        raise Refused(f"an expression that this runner cannot read: {text}")
    return value


def look_up(name: str, context: Mapping[str, Any]) -> Any:
    """A value by its name; outputs that were not set are empty, any other unknown name is a mistake."""
    match name.split("."):
        case ["steps", step, "outputs", output] if step in context["steps"]:
            return context["steps"][step]["outputs"].get(output, "")
        case [("inputs" | "github" | "runner") as kind, word] if word in context[kind]:
            return context[kind][word]
    raise Refused(f"unknown: {name}")
