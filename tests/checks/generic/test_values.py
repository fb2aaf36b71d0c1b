from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from grader.checks.generic import values
from grader.checks.generic.expectations import Expect
from grader.results import Verdict
from tests.builders import decide, make_context

if TYPE_CHECKING:
    from pathlib import Path

    from grader.results import Outcome

YAML = """\
services:
- name: api
  port: 8080
- name: worker
  port: "9090"
on: {push: {tags: ['v*']}}
---
limits: {cpu: 0.5}
"""


def _yaml(root: Path, text: str, path: str, expect: dict[str, Any] | None = None, **more: Any) -> Outcome:
    context = make_context(root, {"s.yaml": text}, deliverables={"settings": "s.yaml"})
    given = {**more, **({"expect": expect} if expect is not None else {})}
    parameters = dict(values.yaml_value.parameters.model_validate({"file": "settings", "path": path} | given))
    return decide(values.yaml_value, context, **parameters)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("services", "begins with"),
        ("$.a[", "not a valid JSONPath"),
        ("$..a..b", "more than once"),
        ('$.a[?(@.b =~ "(x+)+y")]', "not supported"),
        ("$.a * $.b", "not supported"),
        ("$.a.`sub(/(x+)+y/, z)`", "not supported"),
        ("$.a.`len`", "not supported"),
    ],
)
def test_a_path_that_cannot_be_followed_in_bounded_time_is_the_authors_fault(path: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        values.yaml_value.parameters.model_validate({"file": "x", "path": path})


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ({}, "nothing is expected"),
        ({"tolerance": 0.1}, "nothing is expected"),
        ({"equal": 1}, "Extra inputs"),
        ({"matches": "("}, "not a regular expression"),
        ({"matches": r"(a)\1"}, "not a regular expression"),
        ({"at_least": 2, "at_most": 1}, "no number is"),
        ({"near": "1"}, "valid number"),
        ({"at_least": float("nan")}, "finite number"),
        ({"type": "string"}, "'text', 'number'"),
    ],
)
def test_an_expectation_that_nothing_meets_is_the_authors_fault(expect: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Expect.model_validate(expect)


@pytest.mark.parametrize(
    ("expect", "right", "wrong"),
    [
        ({"equals": 1}, [1, 1.0], [True, "1", None, 2, [1], 10**99]),
        ({"equals": None}, [None], [0, "", False]),
        ({"equals": {"a": [1, "x"]}}, [{"a": [1.0, "x"]}], [{"a": [1]}, {"a": ["x", 1]}, {}]),
        ({"one_of": ["a", 2]}, ["a", 2], ["b", "2"]),
        ({"contains": {"a": {"b": 1}}}, [{"a": {"b": 1, "c": 2}, "d": 3}], [{"a": 1}, {"a": {}}, [1]]),
        ({"contains": [1, {"k": 2}]}, [[{"k": 2, "m": 1}, 3, 1]], [[1], {"k": 2}, "1"]),
        ({"contains": "ab"}, ["xaby", ["ab"]], ["a", ["xaby"], 1]),
        ({"excludes": "ab"}, ["a", 1], ["cab", ["ab"]]),
        ({"matches": "^v[0-9]+$"}, ["v12"], ["v", None, ["v1"], "xv1"]),
        ({"matches": "^8080$"}, [8080, "8080"], [80801]),
        ({"near": 0.3, "tolerance": 0.01}, [0.305], [0.32, "0.3", float("nan"), float("inf"), True]),
        ({"equals": [0.1], "tolerance": 0.01}, [[0.105]], [[0.2]]),
        ({"at_least": 1, "at_most": 2}, [1, 2, 1.5], [0, 3, "1", float("nan"), 10**99]),
        ({"min_length": 2, "max_length": 3}, ["ab", [1, 2, 3], {"a": 1, "b": 2}], ["a", [1] * 4, 12, None]),
        ({"type": "number"}, [1, 0.5], [True, "1"]),
        ({"type": "null"}, [None], [0]),
        ({"type": "list"}, [[]], [{}]),
    ],
)
def test_expectations(expect: dict[str, Any], right: list[Any], wrong: list[Any]) -> None:
    model = Expect.model_validate(expect)
    assert [value for value in right if model.violation(value)] == []
    assert [value for value in wrong if not model.violation(value)] == []


def test_a_comparison_that_takes_too_long_is_given_up_against_the_candidate() -> None:
    many = [[n] for n in range(2_000)]
    for expect in (Expect(contains=tuple(many)), Expect(excludes=(*many, [-1]))):
        assert "small enough" in expect.violation(many[::-1])


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("$.services[0].port", {"expect": {"equals": 8080}}),
        ('$.services[?(@.name == "worker")].port', {"expect": {"equals": "9090"}}),
        ("$.services[*].port", {"expect": {"equals": 8080}}),
        ("$.services[*].name", {"expect": {"type": "text"}, "quantifier": "every"}),
        ("$.services[*].name", {"expect": {"equals": "db"}, "quantifier": "none"}),
        ("$.secrets", {"quantifier": "none"}),
        ("$.on.push.tags", {"expect": {"contains": ["v*"]}}),
        ("$..cpu", {"expect": {"at_most": 1}}),
        ("$.limits", {}),
    ],
)
def test_values_that_are_as_expected(tmp_path: Path, path: str, more: dict[str, Any]) -> None:
    assert _yaml(tmp_path, YAML, path, **more).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("path", "more", "expected", "actual", "where"),
    [
        ("$.services[1].port", {"expect": {"equals": 9090}}, "9090", '"9090"', "s.yaml:5"),
        ("$.services[*].port", {"expect": {"equals": 1}}, "1", '8080 · "9090"', "s.yaml:3"),
        (
            "$.services[*].port",
            {"expect": {"type": "number"}, "quantifier": "every"},
            "a number",
            '"9090"',
            "s.yaml:5",
        ),
        ("$.services[*].name", {"expect": {"equals": "api"}, "quantifier": "none"}, "", '"api"', "s.yaml:2"),
        ("$.nothing", {"expect": {"equals": 1}}, "1", "", "s.yaml"),
    ],
)
def test_what_is_not_so_is_told_with_its_line(
    tmp_path: Path, path: str, more: dict[str, Any], expected: str, actual: str, where: str
) -> None:
    (finding,) = _yaml(tmp_path, YAML, path, **more).findings
    assert (finding.expected, finding.actual, finding.where) == (expected, actual, where)


HOSTILE = {
    "aliases": "a: &a [x, x]\nb: &b [*a, *a, *a, *a]\n" + "".join(f"c{n}: [*b, *b]\n" for n in range(20_000)),
    "a circle": "a: &a [*a]",
    "brackets": "[" * 5_000,
    "digits": "a: " + "9" * 5_000,
    "no YAML": "a: b: c",
    "bytes": "a: \x00",
    "nothing": "",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_loses_and_breaks_nothing(tmp_path: Path, text: str) -> None:
    for path in ("$.a", "$..a", "$.a[?(@.b > 1)].c"):
        assert _yaml(tmp_path, text, path, {"equals": 1}).verdict is Verdict.FAILED


def test_a_deep_file_is_searched(tmp_path: Path) -> None:
    deep = "{a: " * 98 + "{b: 1}" + "}" * 98
    assert _yaml(tmp_path, deep, "$..b", {"equals": 1}).verdict is Verdict.PASSED
    assert _yaml(tmp_path, deep, "$..[?(@.b == 1)]").verdict is Verdict.PASSED


def _text(root: Path, text: str, **given: Any) -> Outcome:
    context = make_context(root, {"n.md": text, "more/x.md": "other\n"}, deliverables={"notes": "n.md"})
    parameters = dict(values.file_matches.parameters.model_validate({"file": "notes"} | given))
    return decide(values.file_matches, context, **parameters)


@pytest.mark.parametrize(
    "given",
    [
        {"pattern": "(?m)^b$"},
        {"pattern": "a", "times": 2},
        {"pattern": "z", "absent": True},
        {"pattern": "other", "files": ["*.md"]},
    ],
)
def test_a_pattern_is_found(tmp_path: Path, given: dict[str, Any]) -> None:
    assert _text(tmp_path, "a\nb\na\n", **given).verdict is Verdict.PASSED


def test_a_pattern_is_missed_or_in_the_way(tmp_path: Path) -> None:
    (missed,) = _text(tmp_path, "a\nb\na\n", pattern="a", times=3).findings
    assert (missed.expected, missed.actual) == ("text that matches a, 3 times", "found 2 times")
    (found,) = _text(tmp_path, "ä\nb c\n", pattern="c", absent=True).findings
    assert (found.actual, found.where) == ("b c", "n.md:2")


def test_a_pattern_is_matched_in_linear_time(tmp_path: Path) -> None:
    assert _text(tmp_path, "x" * 300_000, pattern="(x+x+)+y").verdict is Verdict.FAILED


def test_other_formats(tmp_path: Path) -> None:
    files = {"p.toml": "[a]\nb = [1, 2]\n", "d.json": '{"a": {"b": [1, 2]}}', "bad.json": "{\n'a': 1}"}
    names = {"p": "p.toml", "d": "d.json", "bad": "bad.json"}
    context = make_context(tmp_path, files, deliverables=names)
    given = {"path": "$.a.b[1]", "expect": Expect(equals=2)}
    assert decide(values.toml_value, context, file="p", **given).verdict is Verdict.PASSED
    assert decide(values.json_value, context, file="d", **given).verdict is Verdict.PASSED
    (finding,) = decide(values.json_value, context, file="bad", **given).findings
    assert finding.where == "bad.json:2"
    (finding,) = decide(values.json_value, context, file="d", files=("*.json",), **given).findings
    assert finding.where == "bad.json:2"
