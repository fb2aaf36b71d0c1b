from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from grader.checks.compose import checks
from grader.checks.compose.services import interpolated, long_form
from grader.results import Verdict
from tests.builders import decide, make_context

if TYPE_CHECKING:
    from pathlib import Path

    from grader.check import Check
    from grader.results import Outcome


def _decide(check: Check, root: Path, text: str, **given: Any) -> Outcome:
    context = make_context(root, {"compose.yaml": text}, deliverables={"c": "compose.yaml"})
    return decide(check, context, **dict(check.parameters.model_validate({"file": "c", **given})))


@pytest.mark.parametrize(
    ("text", "said", "where"),
    [
        ("", "single YAML mapping", ""),
        ("[]", "single YAML mapping", ""),
        ("a: &a [*a]", "not valid YAML", ":1"),
        ("services: {}", "there are no services", ""),
        ("services: []", "not a valid Compose file", ":1"),
        ("services:\n  a:\n    imagee: x\n", "imagee", ":2"),
        ("services:\n  a:\n    image: x\n    depends_on: [b]\n", "depends on b", ":4"),
        (
            "services:\n  a: {image: x, depends_on: {b: {condition: never}}}\n",
            "not a valid Compose file",
            ":2",
        ),
    ],
)
def test_a_file_that_compose_refuses(tmp_path: Path, text: str, said: str, where: str) -> None:
    finding = _decide(checks.compose_valid, tmp_path, text).findings[0]
    assert said in finding.message
    assert finding.where.startswith(f"compose.yaml{where}")
    assert _decide(checks.compose_service, tmp_path, text, path="$.x").verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"environment": ["A=b=c", "D"]}, {"environment": {"A": "b=c", "D": None}}),
        ({"environment": {"A": 1, "B": True}}, {"environment": {"A": "1", "B": "true"}}),
        ({"depends_on": ["db"]}, {"depends_on": {"db": {"condition": "service_started", "required": True}}}),
        ({"ports": [80]}, {"ports": [{"target": 80, "protocol": "tcp"}]}),
        (
            {"ports": ["127.0.0.1:8000:80/udp"]},
            {"ports": [{"target": 80, "protocol": "udp", "published": "8000", "host_ip": "127.0.0.1"}]},
        ),
        (
            {"ports": [{"target": 80, "published": 8000}]},
            {"ports": [{"target": 80, "published": "8000", "protocol": "tcp"}]},
        ),
        ({"ports": "80"}, {"ports": "80"}),
        ({"ports": [[1], None, "x" * 9999]}, {"ports": [[1], None, "x" * 9999]}),
        ({"volumes": ["data:/var/lib", "/x"]}, None),
        ({"command": "run --it 'a b'"}, {"command": ["run", "--it", "a b"]}),
        ({"command": "it's"}, {"command": "it's"}),
        ({"build": "."}, {"build": {"context": "."}}),
        ({"healthcheck": {"test": "curl x"}}, {"healthcheck": {"test": ["CMD-SHELL", "curl x"]}}),
        ({"networks": ["a"]}, {"networks": {"a": None}}),
        (
            {"labels": 5, "environment": "x", "depends_on": None},
            {"labels": 5, "environment": "x", "depends_on": None},
        ),
    ],
)
def test_short_forms(short: dict[str, Any], long: dict[str, Any] | None) -> None:
    assert long_form(short) == (
        long
        or {
            "volumes": [
                {"type": "volume", "source": "data", "target": "/var/lib", "read_only": False},
                {"type": "volume", "target": "/x"},
            ]
        }
    )


def test_variables_have_their_defaults() -> None:
    assert interpolated({"a": ["${TAG:-1}:${B-2}:${C}:$D:$$E:${F:?x}", 5]}) == {
        "a": ["1:2:${C}:$D:$E:${F:?x}", 5]
    }
    assert interpolated("${" * 5_000) == "${" * 5_000


SERVICES = "services:\n  api:\n    image: api:${TAG:-1}\n    ports: ['8000:80']\n  db:\n    image: postgres\n"


def test_services(tmp_path: Path) -> None:
    given: dict[str, Any] = {"path": "$.ports[*].published", "expect": {"equals": "8000"}}
    assert (
        _decide(checks.compose_service, tmp_path, SERVICES, service="api", **given).verdict is Verdict.PASSED
    )
    assert _decide(checks.compose_service, tmp_path, SERVICES, **given).verdict is Verdict.PASSED
    given = {"path": "$.image", "expect": {"equals": "api:2"}}
    (finding,) = _decide(checks.compose_service, tmp_path, SERVICES, service="api", **given).findings
    assert (finding.actual, finding.where) == ('"api:1"', "compose.yaml:3")
    (finding,) = _decide(checks.compose_service, tmp_path, SERVICES, service="web", **given).findings
    assert (finding.message, finding.actual) == ("there is no service web", "api, db")
