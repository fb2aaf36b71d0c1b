from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import ValidationError

from grader.checks.kubernetes import objects
from grader.results import Verdict
from tests.builders import decide, make_context

if TYPE_CHECKING:
    from pathlib import Path

    from grader.check import Check
    from grader.results import Outcome

AUTOSCALER: dict[str, Any] = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 2,
        "maxReplicas": 10,
    },
}
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"owner": "x"}},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web", "tier": "front"}},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        },
    },
}
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
}
BUDGET: dict[str, Any] = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "web"},
    "spec": {"minAvailable": 1, "selector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}},
}
LIST = {"apiVersion": "v1", "kind": "List", "items": [SERVICE, AUTOSCALER]}


def _decide(check: Check, root: Path, *documents: Any, **given: Any) -> Outcome:
    text = "---\n".join(each if isinstance(each, str) else yaml.safe_dump(each) for each in documents)
    context = make_context(root, {"k.yaml": text}, deliverables={"manifests": "k.yaml"})
    return decide(check, context, **dict(check.parameters.model_validate({"file": "manifests", **given})))


@pytest.mark.parametrize(
    ("check", "given", "said"),
    [
        (objects.kubernetes_object, {"kind": "Deploymnt"}, "did you mean 'Deployment'"),
        (objects.kubernetes_field, {"kind": "deployment", "path": "$"}, "did you mean 'Deployment'"),
        (objects.kubernetes_field, {"kind": "Deployment", "path": "spec"}, "begins with"),
        (objects.kubernetes_selects, {"kind": "Service", "target": "Pods"}, "did you mean 'Pod"),
        (objects.kubernetes_refers, {"source": {"kind": "x"}, "target": {"kind": "Pod"}}, "unknown kind"),
        (objects.kubernetes_refers, {"source": {"kind": "Pod", "paths": []}, "target": {}}, "at least 1"),
    ],
)
def test_a_kind_that_there_is_not_is_the_authors_fault(
    check: Check, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        check.parameters.model_validate({"file": "manifests", **given})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kind: Service",
        "kind: Service\napiVersion: ../../x",
        "kind: Service\napiVersion: [v1]\nmetadata: []",
        "kind: Service\napiVersion: v1\nspec: {selector: {1: 2, app: [web]}, ports: 5}",
        "kind: Service\napiVersion: v1\nspec: {selector: []}\n---\nkind: Deployment\nspec: []\n",
        "kind: List\nitems: [{kind: Service}, 1]",
        "a: &a [*a]",
        "kind: Service\napiVersion: v1\nspec: {ports: [{port: " + "9" * 500 + "}]}",
    ],
)
def test_a_hostile_manifest_loses_and_breaks_nothing(tmp_path: Path, text: str) -> None:
    for check, given in (
        (objects.kubernetes_object, {"kind": "Service"}),
        (
            objects.kubernetes_field,
            {"kind": "Service", "path": "$.spec.ports[*].port", "expect": {"equals": 80}},
        ),
        (objects.kubernetes_selects, {"kind": "Service", "target": "Deployment"}),
        (
            objects.kubernetes_refers,
            {"source": {"kind": "Service", "paths": ["$.spec.x"]}, "target": {"kind": "Deployment"}},
        ),
    ):
        assert _decide(check, tmp_path, text, **given).verdict is Verdict.FAILED


def test_an_object_that_is_there_and_valid(tmp_path: Path) -> None:
    given = {"kind": "HorizontalPodAutoscaler", "name": "web", "api_version": "autoscaling/v2"}
    assert _decide(objects.kubernetes_object, tmp_path, AUTOSCALER, **given).verdict is Verdict.PASSED
    assert _decide(objects.kubernetes_object, tmp_path, LIST, **given).verdict is Verdict.PASSED
    monitor = {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "spec": {"x": 1}}
    custom = _decide(objects.kubernetes_object, tmp_path, monitor, kind="ServiceMonitor", custom=True)
    assert custom.verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("manifest", "given", "said"),
    [
        (SERVICE, {}, "there is no HorizontalPodAutoscaler"),
        (AUTOSCALER, {"name": "api"}, "there is no HorizontalPodAutoscaler named api"),
        (AUTOSCALER, {"api_version": "autoscaling/v1"}, "apiVersion is wrong"),
        ({**AUTOSCALER, "apiVersion": "autoscaling/v2beta2"}, {}, "has no kind HorizontalPodAutoscaler"),
        ({**AUTOSCALER, "spec": {"maxReplica": 1}}, {}, "Kubernetes rejects the HorizontalPodAutoscaler"),
    ],
)
def test_an_object_that_is_not(tmp_path: Path, manifest: Any, given: dict[str, Any], said: str) -> None:
    kind = {"kind": "HorizontalPodAutoscaler"}
    outcome = _decide(objects.kubernetes_object, tmp_path, manifest, **kind, **given)
    assert outcome.verdict is Verdict.FAILED
    assert said in outcome.findings[0].message


def test_a_field_is_told_with_its_line_in_a_list(tmp_path: Path) -> None:
    given = {"kind": "HorizontalPodAutoscaler", "path": "$.spec.minReplicas"}
    text = yaml.safe_dump(LIST)
    (finding,) = _decide(objects.kubernetes_field, tmp_path, text, **given, expect={"equals": 3}).findings
    line = next(n for n, each in enumerate(text.splitlines(), 1) if "minReplicas" in each)
    assert (finding.actual, finding.where) == ("2", f"k.yaml:{line}")
    right = _decide(objects.kubernetes_field, tmp_path, LIST, **given, expect={"at_least": 2})
    assert right.verdict is Verdict.PASSED


REFERS = {
    "source": {"kind": "HorizontalPodAutoscaler", "paths": ["$.spec.scaleTargetRef.name"]},
    "target": {"kind": "Deployment"},
}


def test_names_that_meet_and_names_that_do_not(tmp_path: Path) -> None:
    check = objects.kubernetes_refers
    assert _decide(check, tmp_path, AUTOSCALER, DEPLOYMENT, **REFERS).verdict is Verdict.PASSED
    other = {**DEPLOYMENT, "metadata": {"name": "api"}}
    (finding,) = _decide(check, tmp_path, AUTOSCALER, other, **REFERS).findings
    assert (finding.expected, finding.actual) == ('"api"', '"web"')
    (finding,) = _decide(check, tmp_path, AUTOSCALER, **REFERS).findings
    assert finding.message == "there is no Deployment"


@pytest.mark.parametrize(
    ("kind", "manifest", "right"),
    [
        ("Service", SERVICE, True),
        ("Service", {**SERVICE, "spec": {"selector": {"app": "api"}}}, False),
        ("Service", {**SERVICE, "spec": {"selector": {"owner": "x"}}}, False),
        ("Service", {**SERVICE, "spec": {}}, False),
        ("PodDisruptionBudget", BUDGET, True),
        ("PodDisruptionBudget", {**BUDGET, "spec": {"selector": {"app": "web"}}}, False),
    ],
)
def test_selectors_across_objects(tmp_path: Path, kind: str, manifest: Any, right: bool) -> None:
    outcome = _decide(
        objects.kubernetes_selects, tmp_path, manifest, DEPLOYMENT, kind=kind, target="Deployment"
    )
    assert (outcome.verdict is Verdict.PASSED) is right
