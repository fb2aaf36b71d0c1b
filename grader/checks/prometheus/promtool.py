"""Asking promtool when an alert fires, in scenarios made for its own expression.

The answers are exit statuses and nothing else: a scenario is run with what it should show as promtool's
expectation; where that fails, it is run with what promtool found instead, and where that fails too, each
question is put on its own, both ways round.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader import command as process
from grader.checks.prometheus.series import HISTORY, STEP
from grader.errors import GraderFault
from grader.runtime.temporary import temporary_directory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS = 30
"""Wall seconds for one run of promtool; an honest alert takes a fifth of one."""
_RULES = "rules.yml"
_TRUE = json.dumps({"groups": [{"name": "control", "rules": [{"alert": "Control", "expr": "vector(1)"}]}]})
_SETTLED = 600
"""Seconds of healthy history after which an alert must be quiet."""


@dataclass(frozen=True, slots=True)
class Question:
    """Whether the alert fires at a second of the scenario, or at any time up to it."""

    at: int
    ever: bool
    expected: bool
    expr: str = ""
    """What is asked instead: an expression that gives 0 or 1, without labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Some series, and what is asked about them."""

    name: str
    rules: str
    """The rule file that is tried."""
    series: Sequence[Mapping[str, str]]
    questions: tuple[Question, ...]
    interval: int = STEP
    """Seconds between two samples, and between two evaluations."""

    def marked(self) -> tuple[tuple[str, Question], ...]:
        """The questions, each with a mark by which promtool's complaints name it."""
        return tuple((f"{self.name} {number}", question) for number, question in enumerate(self.questions))


@dataclass(frozen=True, slots=True)
class Answers:
    """What each question of each scenario, by name, was answered; None where promtool could not evaluate."""

    given: Mapping[str, tuple[bool | None, ...]]

    def right(self, scenario: str, question: int, *, expected: bool) -> bool:
        """Whether a question was answered, and so."""
        answers = self.given.get(scenario, ())
        return question < len(answers) and answers[question] is expected


@dataclass(slots=True)
class Promtool:
    """One promtool in a directory of its own, asking about one alert name."""

    program: Path
    alert: str
    complaint: str = field(default="", init=False)
    """What promtool said when it last failed."""
    refusal: str = field(default="", init=False)
    """What it said when it could not evaluate the rule, which is then not tried again."""
    _timed_out: bool = field(default=False, init=False)

    def ask(self, scenarios: Sequence[Trial]) -> Answers:
        """Answer every question."""
        if self.refusal:
            return Answers({})
        claims: Sequence[Trial] = scenarios
        right = self._holds(claims)
        if not right and not self._timed_out:
            claims = self._corrected(scenarios)
            right = self._holds(claims)
        if right:
            return Answers({each.name: tuple(q.expected for q in each.questions) for each in claims})
        return Answers(
            {
                each.name: tuple(self._answer(each, question) for question in each.questions)
                for each in scenarios
            }
        )

    def _corrected(self, scenarios: Sequence[Trial]) -> list[Trial]:
        """The scenarios as promtool has just found them to be; only another run makes that an answer."""
        return [
            replace(
                each,
                questions=tuple(
                    replace(question, expected=question.expected is not (f'# {mark}"' in self.complaint))
                    for mark, question in each.marked()
                ),
            )
            for each in scenarios
        ]

    def _answer(self, scenario: Trial, question: Question) -> bool | None:
        for claimed in (question.expected, not question.expected):
            only = replace(scenario, questions=(replace(question, expected=claimed),))
            if not self.refusal and not self._timed_out and self._holds([only]):
                return claimed
        if not self.refusal:
            self.refusal = self.complaint or "it cannot be evaluated"
            self._control(only)
        return None

    def _control(self, scenario: Trial) -> None:
        """Make sure that it is the candidate's rule that cannot be evaluated, and not our test.

        Raises:
            GraderFault: promtool fails with a rule of our own too.
        """
        rule = {"alert": self.alert, "expr": "vector(1)"}
        always = json.dumps({"groups": [{"name": "control", "rules": [rule]}]})
        questions = tuple(replace(question, expected=True, expr="") for question in scenario.questions)
        if not self._holds([replace(scenario, rules=always, questions=questions)]):
            raise GraderFault("promtool fails on the grader's own rule", log_tail=self.complaint)

    def _holds(self, scenarios: Sequence[Trial]) -> bool:
        with temporary_directory() as directory:
            names = []
            for number, scenario in enumerate(scenarios):
                Path(directory, f"rules{number}.yml").write_text(scenario.rules, encoding="utf-8")
                test = self._test(scenario, f"rules{number}.yml")
                Path(directory, f"test{number}.yml").write_text(json.dumps(test), encoding="utf-8")
                names.append(f"test{number}.yml")
            argv = [str(self.program), "test", "rules", *names]
            ended = process.run(argv, cwd=Path(directory), env={"TMPDIR": str(directory)}, timeout=SECONDS)
        self._timed_out = ended.timed_out
        if ended.returncode != 0:
            self.complaint = f"promtool was stopped after {SECONDS} s" if ended.timed_out else ended.output
        return ended.returncode == 0 and not ended.timed_out

    def _test(self, scenario: Trial, rules: str) -> dict[str, Any]:
        return {
            "rule_files": [rules],
            "evaluation_interval": f"{scenario.interval}s",
            "tests": [
                {
                    "interval": f"{scenario.interval}s",
                    "input_series": list(scenario.series),
                    "promql_expr_test": [self._expectation(*marked) for marked in scenario.marked()],
                }
            ],
        }

    def _expectation(self, mark: str, question: Question) -> dict[str, Any]:
        firing = f'ALERTS{{alertname={json.dumps(self.alert)},alertstate="firing"}}'
        asked = f"count_over_time({firing}[{question.at - _SETTLED}s])" if question.ever else firing
        return {
            "expr": f"{question.expr or f'(count({asked}) > bool 0) or vector(0)'} # {mark}",
            "eval_time": f"{question.at}s",
            "exp_samples": [{"labels": "{}", "value": int(question.expected)}],
        }


def after(seconds: float) -> int:
    """The sample of a scenario that comes so long after the healthy history, or the last before it."""
    return HISTORY + int(seconds) // STEP * STEP


def check_rules(program: Path, content: str | Path) -> tuple[bool, str]:
    """Whether promtool accepts a rule file (its text, or where it is), and what it says.

    Raises:
        GraderFault: it does not check a rule of our own either.
    """
    ended = _check(program, content)
    if ended.timed_out:
        # The text is what it takes so long for, unless the machine or the tool is at fault.
        if _check(program, _TRUE).returncode != 0:
            raise GraderFault(f"promtool did not check a rule file within {SECONDS} s")
        return False, f"promtool did not finish within {SECONDS} s"
    said = "\n".join(line for line in ended.output.splitlines() if not line.startswith("Checking "))
    path = content if isinstance(content, Path) else _RULES
    return ended.returncode == 0, said.replace(f"{path}: ", "").strip()


def _check(program: Path, content: str | Path) -> process.Completed:
    with temporary_directory() as directory:
        if isinstance(content, str):
            (directory / _RULES).write_text(content, encoding="utf-8")
        argv = [str(program), "check", "rules", str(content if isinstance(content, Path) else _RULES)]
        return process.run(argv, cwd=directory, env={"TMPDIR": str(directory)}, timeout=SECONDS)
