import copy
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from grader.check import Check
from grader.checks.kubernetes import checks
from grader.checks.kubernetes.quantity import parse_quantity
from grader.results import Outcome, Verdict
from tests.builders import decide, make_context

NAME = {"file": "deployment", "name": "exam-api"}
POD = {**NAME, "image": "ghcr.io/exam/api:latest"}
ALL: tuple[tuple[Check, dict[str, Any]], ...] = (
    (checks.deployment, {**NAME, "api_version": "apps/v1"}),
    (checks.image, POD),
    (checks.replicas, {**NAME, "replicas": 3}),
    (checks.quantity, {**POD, "kind": "requests", "resource": "cpu", "quantity": "100m"}),
    (checks.quantity, {**POD, "kind": "limits", "resource": "memory", "quantity": "1Gi"}),
    (checks.probe, {**POD, "probe": "livenessProbe", "path": "/health"}),
    (checks.probe, {**POD, "probe": "readinessProbe", "path": "/ready"}),
    (checks.env, {**POD, "variable": "MLFLOW_TRACKING_URI"}),
)
HONEST: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "exam-api"},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "api"}},
        "template": {
            "metadata": {"labels": {"app": "api", "tier": "x"}},
            "spec": {
                "containers": [
                    {
                        "name": "api",
                        "image": "ghcr.io/exam/api:latest",
                        "ports": [{"name": "http", "containerPort": 8000}],
                        "env": [{"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow:5000"}],
                        "resources": {
                            "requests": {"cpu": "100m", "memory": "256Mi"},
                            "limits": {"cpu": 1, "memory": "1Gi"},
                        },
                        "livenessProbe": {"httpGet": {"path": "/health", "port": "http"}},
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8000}},
                    }
                ]
            },
        },
    },
}
CONTAINER = "spec.template.spec.containers.0"


def _changed(**changes: Any) -> dict[str, Any]:
    """The honest manifest with values at dotted paths (`__` for a dot) replaced, or dropped by None."""
    manifest = copy.deepcopy(HONEST)
    for path, value in changes.items():
        at: Any = manifest
        *parents, last = path.replace("container__", CONTAINER.replace(".", "__") + "__").split("__")
        for key in parents:
            at = at[int(key)] if key.isdigit() else at[key]
        if value is None:
            del at[last]
        else:
            at[last] = value
    return manifest


def _lost(root: Path, *documents: Any) -> set[int]:
    """Which of ALL fail."""
    text = "---\n".join(d if isinstance(d, str) else yaml.safe_dump(d) for d in documents)
    context = make_context(root, {"d.yaml": text}, deliverables={"deployment": "d.yaml"})
    outcomes: list[Outcome] = [decide(check, context, **parameters) for check, parameters in ALL]
    return {index for index, outcome in enumerate(outcomes) if outcome.verdict is Verdict.FAILED}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "kind: Deployment",
        "kind: [1]\n",
        "a: b: c",
        "kind: Deployment\nspec: []\nmetadata: 5",
        "kind: Deployment\nspec: {template: {spec: {containers: [1, null, [2], {}]}}}",
        "kind: Deployment\napiVersion: 3",
        "kind: Deployment\napiVersion: ../../x",
        "kind: List\nitems: {a: 1}",
        "kind: List\nitems: [1, null]",
        "kind: Deployment\napiVersion: apps/v1\n1: 2\n? [a]\n: b\nspec: {2024-01-01: !!binary aaaa}",
        (
            "kind: Deployment\nspec: {template: {spec: {containers: [{image: [], ports: 1, env: {a: b}, "
            "resources: {requests: [1]}, livenessProbe: {httpGet: {path: [], port: {}}}}]}}}"
        ),
    ],
)
def test_no_manifest_breaks_a_check(tmp_path: Path, text: str) -> None:
    assert _lost(tmp_path, text) == set(range(len(ALL)))


SAME = {
    "as it is": [HONEST],
    "several documents": [{"apiVersion": "v1", "kind": "Service"}, HONEST],
    "another Deployment first": [_changed(metadata__name="other", spec__replicas=1), HONEST],
    "list": [{"apiVersion": "v1", "kind": "List", "items": [{"kind": "Service"}, HONEST]}],
    "no tag": [_changed(container__image="ghcr.io/exam/api")],
    "digest": [_changed(container__image="ghcr.io/exam/api:latest@sha256:" + "a" * 64)],
    "quantities": [
        _changed(
            container__resources={
                "requests": {"cpu": 0.1, "memory": "268435456"},
                "limits": {"cpu": "1000m", "memory": "1024Mi"},
            }
        )
    ],
    "expressions": [
        _changed(
            spec__selector={"matchExpressions": [{"key": "app", "operator": "In", "values": ["api", "b"]}]}
        )
    ],
    "reference": [
        _changed(
            container__env=[
                {"name": "A", "value": "b"},
                {
                    "name": "MLFLOW_TRACKING_URI",
                    "valueFrom": {"configMapKeyRef": {"name": "c", "key": "uri"}},
                },
            ]
        )
    ],
    "undeclared port": [
        _changed(
            container__ports=None, container__livenessProbe={"httpGet": {"path": "/health", "port": 8000}}
        )
    ],
    "slash": [_changed(container__livenessProbe={"httpGet": {"path": "/health/", "port": 8000}})],
}


@pytest.mark.parametrize("documents", SAME.values(), ids=SAME.keys())
def test_equal_manifests(tmp_path: Path, documents: list[Any]) -> None:
    assert _lost(tmp_path, *documents) == set()


def test_the_container_with_the_image_is_judged(tmp_path: Path) -> None:
    manifest = copy.deepcopy(HONEST)
    manifest["spec"]["template"]["spec"]["containers"].insert(0, {"name": "proxy", "image": "nginx"})
    assert _lost(tmp_path, manifest) == set()


DEFECTS: dict[str, tuple[dict[str, Any], set[int]]] = {
    "name": (_changed(metadata__name="api"), {0}),
    "api version": (_changed(apiVersion="extensions/v1beta1"), {0}),
    "selector": (_changed(spec__selector={"matchLabels": {"app": "other"}}), {0}),
    "empty selector": (_changed(spec__selector={}), {0}),
    "expression": (
        _changed(spec__selector={"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
        {0},
    ),
    "misspelt field": (_changed(container__imagePullpolicy="Always"), {0}),
    "label is a number": (_changed(spec__template__metadata__labels={"app": "api", "v": 1}), {0}),
    "replicas is text": (_changed(spec__replicas="3"), {0}),
    "image": (_changed(container__image="ghcr.io/exam/api:v1"), {1}),
    "port in the registry": (_changed(container__image="localhost:5000/exam/api"), {1}),
    "replicas": (_changed(spec__replicas=2), {2}),
    "no replicas": (_changed(spec__replicas=None), {2}),
    "cpu": (_changed(container__resources__requests={"cpu": "100", "memory": "256Mi"}), {3}),
    "memory": (_changed(container__resources__limits={"cpu": "1", "memory": "1G"}), {4}),
    "no limits": (_changed(container__resources__limits=None), {4}),
    "path": (_changed(container__livenessProbe={"httpGet": {"path": "/healthz", "port": 8000}}), {5}),
    "port": (_changed(container__livenessProbe={"httpGet": {"path": "/health", "port": 80}}), {5}),
    "named port": (_changed(container__livenessProbe={"httpGet": {"path": "/health", "port": "web"}}), {5}),
    "command": (_changed(container__readinessProbe={"exec": {"command": ["true"]}}), {6}),
    "no env": (_changed(container__env=None), {7}),
    "env from": (_changed(container__env=None, container__envFrom=[{"configMapRef": {"name": "c"}}]), {7}),
    "empty env": (_changed(container__env=[{"name": "MLFLOW_TRACKING_URI", "value": ""}]), {7}),
    "other env": (_changed(container__env=[{"name": "MLFLOW_URI", "value": "x"}]), {7}),
}


@pytest.mark.parametrize(("manifest", "lost"), DEFECTS.values(), ids=DEFECTS.keys())
def test_a_defect_costs_what_it_is_about(tmp_path: Path, manifest: dict[str, Any], lost: set[int]) -> None:
    assert _lost(tmp_path, manifest) == lost


def test_findings_have_lines(tmp_path: Path) -> None:
    text = yaml.safe_dump(_changed(spec__replicas=2), sort_keys=False)
    context = make_context(tmp_path, {"d.yaml": text}, deliverables={"deployment": "d.yaml"})
    (finding,) = decide(checks.replicas, context, **NAME, replicas=3).findings
    line = text.splitlines().index("  replicas: 2") + 1
    assert (finding.expected, finding.actual, finding.where) == ("3", "2", f"d.yaml:{line}")


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    text = yaml.safe_dump(HONEST) + "kind: Deployment\n"
    assert _lost(tmp_path, text) == {0}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("100m", Fraction(1, 10)),
        (0.1, Fraction(1, 10)),
        ("1e3", Fraction(1000)),
        ("1E", Fraction(10) ** 18),
        ("1Ei", Fraction(1024) ** 6),
        ("256Mi", Fraction(256 * 1024**2)),
        ("1k", Fraction(1000)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("1u", Fraction(1, 10**6)),
        ("1 Gi", None),
        ("1gi", None),
        ("1K", None),
        ("", None),
        (True, None),
        (None, None),
        ([], None),
        (float("nan"), None),
        ("1e999", None),
    ],
)
def test_quantities(value: object, expected: Fraction | None) -> None:
    assert parse_quantity(value) == expected
