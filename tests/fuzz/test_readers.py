"""Whatever a text holds, each reader says what it is or why not, and raises nothing else."""

from __future__ import annotations

import ast
import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from grader.checks.dockerfile import checks as dockerfile
from grader.checks.dockerfile import facts as dockerfile_facts
from grader.checks.dockerfile import image as dockerfile_image
from grader.checks.kubernetes.quantity import parse_quantity
from grader.checks.prometheus import labels as promql_labels
from grader.checks.prometheus import promql
from grader.checks.serving import checks as serving
from grader.checks.serving import exposition
from grader.checks.serving.asgi import Answer
from grader.checks.workflow import expressions, triggers
from grader.documents import Problem, parse_ini, parse_json, parse_python, parse_toml, parse_yaml
from grader.readers import makefile, version_ranges
from grader.readers.python import parameters as script_parameters
from grader.readers.python import subcommands, tracebacks
from grader.readers.requirements import parse_requirements
from grader.readers.shell import parser as shell
from grader.readers.shell import sources
from grader.report.safe import clean, one_line, safe
from tests.fuzz.mutations import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = (
    *(
        "a",
        "1",
        " ",
        "\n",
        "\t",
        "=",
        ": ",
        "- ",
        ",",
        ";",
        "#",
        "'",
        '"',
        "`",
        "\\",
        "\\\n",
        "|",
        "&&",
        "<<E\n",
    ),
    *(
        "$(",
        "${",
        "${{ ",
        "}}",
        ")",
        "(",
        "[",
        "]",
        "{",
        "}",
        "* ",
        "&a ",
        "*a",
        "!!int ",
        "a: ",
        "b = ",
        "x['a']",
    ),
    *(
        "if a; then\n",
        "def f():\n ",
        "import a\n",
        "f'{a}'",
        ">=1.0",
        "==",
        "; os_name == 'a'",
        "--hash=sha256:a",
    ),
    *(
        "rate(a[5m])",
        " > 5",
        "histogram_quantile(0.9, ",
        " by (le) ",
        '{a=~"b|c"}',
        "always()",
        " == ",
        "format(",
    ),
    *(
        "Traceback (most recent call last):\n",
        '  File "a.py", line 1, in f\n',
        "KeyError: 'a'\n",
        "usage: a [-h]\n",
    ),
    *(
        "$ a b\n",
        "```bash\n",
        "```\n",
        "[a]\n",
        "a{b='c'} 1\n",
        "# TYPE a counter\n",
        "true",
        "null",
        "1e5",
        "100m",
    ),
)
TEXTS = st.lists(
    st.one_of(st.sampled_from(WORDS), st.sampled_from(HOSTILE), st.text(max_size=20)), max_size=25
).map("".join)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**99),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def read_requirements(text: str) -> None:
    for line in parse_requirements(text):
        _ = (line.name, line.pin, line.version, line.local, line.itself, line.applies())
        if line.requirement is not None:
            version_ranges.pep440(line.requirement.specifier)


def read_range(text: str) -> None:
    if (found := version_ranges.poetry(text)) is not None:
        floor = Version("2.1")
        _ = (found.reaches_below(floor), found.reaches(floor), found.example_below(floor))


def read_promql(text: str) -> None:
    found = promql.read(text)
    if isinstance(found, promql.Expression):
        _ = (found.selectors(), found.grouping(), found.comparison())
    promql.seconds(text)
    matcher = promql.Matcher("a", "=~", text)
    _ = (promql_labels.satisfying([matcher]), promql_labels.accepts(matcher, "a"))


def read_python(text: str) -> None:
    found = parse_python(text, "f.py")
    if isinstance(found, ast.Module):
        _ = (script_parameters.parameters(found), subcommands.subcommands(found))


def read_expression(text: str) -> None:
    expressions.substitute(text, lambda _: None)
    expressions.condition(text, lambda _: None, lambda *_: None)
    triggers.includes({"branches": [text]}, "branches", "main")


def read_json(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_json(text)


READERS: dict[str, Callable[[str], object]] = {
    "yaml": lambda text: parse_yaml(text, "f"),
    "toml": lambda text: parse_toml(text, "f"),
    "json": read_json,
    "ini": lambda text: parse_ini(text, "f"),
    "python": read_python,
    "requirements": read_requirements,
    "ranges": read_range,
    "promql": read_promql,
    "expressions": read_expression,
    "shell": shell.commands,
    "notes": lambda text: list(sources.notes(text)),
    "makefiles": lambda text: list(makefile.recipe_lines(text)),
    "help": script_parameters.from_help,
    "tracebacks": lambda text: tracebacks.last_traceback(text, ["/workspace"]),
    "exposition": exposition.metric_names,
    "quantities": parse_quantity,
}


LINES: dict[str, Callable[[str], object]] = {
    "a make variable": makefile._SETS.fullmatch,
    "a variable of a target": makefile._SETS_FOR.fullmatch,
    "a rule": makefile._RULE.fullmatch,
    "a Dockerfile's word": lambda text: dockerfile_facts.expand(text, {}),
    "files of requirements": dockerfile.included_files,
    "a here-document": dockerfile_image.interpreter,
}


@pytest.mark.parametrize("name", READERS)
@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(text=TEXTS)
def test_a_reader_takes_any_text(name: str, text: str) -> None:
    READERS[name](text)


LONG = 60_000


@pytest.mark.slow
@pytest.mark.parametrize("pattern", LINES)
@pytest.mark.parametrize(
    "text", ["a ", " ", "a:", "a: ", "\n", "\n\n-", "#!a", "-r", "${a:-{}", "a ; ", "= "]
)
def test_an_expression_takes_a_long_text(pattern: str, text: str, deadline: None) -> None:
    """Whatever backtracks at each character does not come to an end here."""
    long = text * (LONG // len(text))
    for tail in ("", "!", "="):
        LINES[pattern](long + tail)


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(body=PLAIN, key=st.sampled_from(["predictions", ""]))
def test_a_judge_takes_any_answer(body: Any, key: str) -> None:
    for data in (body, {"predictions": body}, {"": body, "paths": {"/predict": {"post": body}}}):
        answer = Answer(request="POST /predict", status=200, body=json.dumps(data))
        found = serving.predictions(answer, key, 2)
        if isinstance(found, list):
            _ = [serving.label(each) == 1 for each in found]
        if isinstance(answer.json, dict):
            _ = list(serving.body_fields(answer.json, "/predict"))


MARKERS = (
    "\x1b[31m",
    "\x9b1m",
    "\r",
    "\b",
    "\u202e",
    "\u200b",
    "\U000e0041",
    "::error::",
    "##vso[a]",
    "##[a]",
)
OBEYED = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e\U000e0041\ud800-\udfff]|::error::|##(?:vso)?\\["
)


@settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(
    text=st.lists(
        st.one_of(st.sampled_from(MARKERS), st.text(max_size=5), st.sampled_from([":", "#", " "]))
    ).map("".join)
)
def test_nothing_that_is_shown_is_obeyed(text: str) -> None:
    for shown in (clean(text), safe(text, longest=20), one_line(text, longest=20)):
        assert not OBEYED.search(shown)
    assert clean(clean(text)) == clean(text)


def test_a_problem_is_one_line() -> None:
    for text in HOSTILE:
        for found in (
            parse_yaml(text, "f"),
            parse_toml(text, "f"),
            parse_python(text, "f"),
            parse_ini(text, "f"),
        ):
            if isinstance(found, Problem):
                assert "\n" not in found.message
                assert len(found.message) < 400
