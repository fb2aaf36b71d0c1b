"""Kubernetes objects of any kind: whether they are valid, what they say, how they find each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from grader.check import Deliverable, Example, Parameters, check, require_name
from grader.checks.generic.expectations import Expect, shown
from grader.checks.generic.values import (
    Document,
    JsonPath,
    Quantifier,
    files_of,
    judge,
    select,
    values_at,
)
from grader.checks.kubernetes.manifests import Resource, differs, invalid, known_kinds, resources
from grader.checks.kubernetes.selector import selects
from grader.documents import Problem
from grader.readers.plain_data import as_json
from grader.results import Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from grader.context import Context

MAX_LISTED = 8
_POD_TEMPLATES: tuple[tuple[str, ...], ...] = (
    ("spec", "template", "metadata", "labels"),
    ("spec", "jobTemplate", "spec", "template", "metadata", "labels"),
)
_SELECTORS: tuple[tuple[str, ...], ...] = (("spec", "selector"), ("spec", "podSelector"))
_PLAIN_SELECTORS = ("Service", "ReplicationController")
"""Kinds whose selector is a mapping of labels and nothing else."""


def _objects(
    context: Context, *, file: Deliverable, files: tuple[str, ...] = ()
) -> tuple[Resource, ...] | Finding:
    """Every object of the manifests.

    Args:
        files: globs of more manifests that count as well.
    """
    found: list[Resource] = []
    for source in files_of(context, file, files):
        documents = source.yaml
        if isinstance(documents, Problem):
            return documents.finding("a Kubernetes manifest")
        found += resources(source, documents)
    return tuple(found)


def _of_kind(objects: Sequence[Resource], kind: str, name: str) -> tuple[Resource, ...] | Finding:
    """The objects of a kind, those of a name where one is given."""
    those = tuple(each for each in objects if each.data.get("kind") == kind)
    found = tuple(each for each in those if not name or each.get("metadata", "name") == name)
    if found:
        return found
    there = [shown(each.get("metadata", "name")) for each in those[:MAX_LISTED]]
    kinds = [shown(each.data.get("kind")) for each in objects[:MAX_LISTED]]
    return Finding(
        message=f"there is no {kind}" + (f" named {name}" if name else ""),
        expected=f"kind: {kind}" + (f", name: {name}" if name else ""),
        actual=", ".join(there or kinds),
        where=objects[0].file.name if objects else "",
    )


def _is_known(given: Any) -> None:
    if not given.custom:
        require_name("kind of Kubernetes object", given.kind, known_kinds())


_SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: ClusterIP
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: web:1, ports: [{name: http, containerPort: 8080}]}]
"""
_FILES = {"k8s/web.yaml": _SERVICE}


@check(
    "kubernetes.object",
    reads=_objects,
    rule=_is_known,
    example=Example(
        rubric="""
            deliverables: {manifests: {accept: ["k8s/*.yaml", "k8s/*.yml"]}}
            check: kubernetes.object
            with: {file: manifests, files: ["k8s/*.yaml", "k8s/*.yml"], kind: Service, name: web}
        """,
        files=_FILES,
    ),
)
def kubernetes_object(
    _: Context,
    objects: tuple[Resource, ...],
    *,
    kind: str,
    name: str = "",
    api_version: str = "",
    custom: bool = False,
) -> Outcome:
    """There is an object of this kind and name, and it is valid against Kubernetes' schemas.

    Args:
        kind: its kind, such as `HorizontalPodAutoscaler`.
        name: its name, if it must have a certain one.
        api_version: its apiVersion, if it must have a certain one.
        custom: whether it is a custom resource, of which Kubernetes has no schema.
    """
    found = _of_kind(objects, kind, name)
    if isinstance(found, Finding):
        return failed(found)
    outcomes = [list(_problems(each, api_version, custom=custom)) for each in found]
    best = min(outcomes, key=len)
    return failed(*best) if best else passed()


def _problems(found: Resource, api_version: str, *, custom: bool) -> Iterator[Finding]:
    actual = found.get("apiVersion")
    if api_version and actual != api_version:
        yield differs("apiVersion", api_version, actual, found.where("apiVersion"))
    elif not custom:
        yield from invalid(found)
    elif not isinstance(actual, str):
        yield differs("apiVersion", "text", actual, found.where("apiVersion"))


@check(
    "kubernetes.field",
    reads=_objects,
    rule=_is_known,
    example=Example(
        rubric="""
            deliverables: {manifests: {accept: ["k8s/*.yaml"]}}
            check: kubernetes.field
            with:
              file: manifests
              kind: Service
              path: $.spec.ports[?(@.port == 80)].targetPort
              expect: {one_of: [http, 8080]}
        """,
        files=_FILES,
    ),
)
def kubernetes_field(
    _: Context,
    objects: tuple[Resource, ...],
    *,
    kind: str,
    name: str = "",
    custom: bool = False,  # noqa: ARG001  (its rule reads it)
    path: JsonPath,
    expect: Expect | None = None,
    quantifier: Quantifier = "any",
) -> Outcome:
    """What stands at a path in an object of this kind is as expected.

    Args:
        kind: the object's kind.
        name: its name, if it must have a certain one; else the objects of this kind are taken together.
        custom: whether it is a custom resource, so that Kubernetes itself need not know the kind.
        path: a JSONPath from the object's root, such as `$.spec.minReplicas`.
        expect: what a value there must be; that there is one, if this is left out.
        quantifier: how many of the values must be so; `every` still needs one.
    """
    found = _of_kind(objects, kind, name)
    if isinstance(found, Finding):
        return failed(found)
    return judge(tuple(map(_document, found)), path, expect, quantifier)


def _document(found: Resource) -> Document:
    return Document(found.file, as_json(found.data), found.document, found.place)


class End(Parameters):
    """Values of objects of a kind."""

    kind: str
    """The kind of the objects."""
    name: str = ""
    """The object's name, if it must have a certain one."""
    paths: Annotated[tuple[JsonPath, ...], Field(min_length=1)] = ("$.metadata.name",)
    """JSONPaths from the object's root; the name, if none is given."""


def _are_known(given: Any) -> None:
    if not given.custom:
        for end in (given.source, given.target):
            require_name("kind of Kubernetes object", end.kind, known_kinds())


@check(
    "kubernetes.refers",
    reads=_objects,
    rule=_are_known,
    example=Example(
        rubric="""
            deliverables: {manifests: {accept: ["k8s/*.yaml"]}}
            check: kubernetes.refers
            with:
              file: manifests
              source: {kind: Service, paths: ["$.spec.ports[*].targetPort"]}
              target:
                kind: Deployment
                paths: ["$..ports[*].name", "$..ports[*].containerPort"]
        """,
        files=_FILES,
    ),
)
def kubernetes_refers(
    _: Context,
    objects: tuple[Resource, ...],
    *,
    source: End,
    target: End,
    custom: bool = False,  # noqa: ARG001  (its rule reads it)
) -> Outcome:
    """Every value at a path in objects of one kind is one that objects of another kind have at theirs.

    So an autoscaler names a Deployment that there is, an Ingress a Service, a container a ConfigMap.

    Args:
        source: the objects that refer to others, and where: `$.spec.scaleTargetRef.name`.
        target: the objects that they refer to, and what is referred to.
        custom: whether one of them is a custom resource.
    """
    ends = [_of_kind(objects, end.kind, end.name) for end in (source, target)]
    for end in ends:
        if isinstance(end, Finding):
            return failed(end)
    referring, referred = (tuple(map(_document, end)) for end in ends if not isinstance(end, Finding))
    found = [each for path in source.paths for each in select(referring, path)]
    if not found:
        where = referring[0].where()
        return failed(Finding(message=f"there is nothing at {' or '.join(source.paths)}", where=where))
    there = [value for each in referred for path in target.paths for value in values_at(each.data, path)]
    known = set(map(shown, there))
    for each in found:
        if shown(each.value) not in known:
            return failed(
                Finding(
                    message=f"the {source.kind} refers to what no {target.kind} has",
                    expected=" or ".join(sorted(known)[:MAX_LISTED]) or f"a value at {target.paths[0]}",
                    actual=shown(each.value),
                    where=each.where,
                )
            )
    return passed()


def _kinds_are_known(given: Any) -> None:
    if not given.custom:
        for kind in (given.kind, given.target):
            require_name("kind of Kubernetes object", kind, known_kinds())


@check(
    "kubernetes.selects",
    reads=_objects,
    rule=_kinds_are_known,
    example=Example(
        rubric="""
            deliverables: {manifests: {accept: ["k8s/*.yaml"]}}
            check: kubernetes.selects
            with: {file: manifests, kind: Service, target: Deployment}
        """,
        files=_FILES,
    ),
)
def kubernetes_selects(
    _: Context,
    objects: tuple[Resource, ...],
    *,
    kind: str,
    name: str = "",
    target: str,
    target_name: str = "",
    custom: bool = False,  # noqa: ARG001  (its rule reads it)
) -> Outcome:
    """The label selector of an object matches the pods that objects of another kind make, or those objects.

    Args:
        kind: the kind that has the selector: `Service`, `PodDisruptionBudget`, `NetworkPolicy`.
        name: its name, if it must have a certain one.
        target: the kind whose pods (or whose own labels, if it has none) are selected.
        target_name: its name, if it must have a certain one.
        custom: whether one of them is a custom resource.
    """
    selecting, selected = _of_kind(objects, kind, name), _of_kind(objects, target, target_name)
    for end in (selecting, selected):
        if isinstance(end, Finding):
            return failed(end)
    assert not isinstance(selecting, Finding)  # noqa: S101
    assert not isinstance(selected, Finding)  # noqa: S101
    labels = [_labels(each) for each in selected]
    for each in selecting:
        place = next((path for path in _SELECTORS if each.get(*path) is not None), _SELECTORS[0])
        selector = each.get(*place)
        if kind in _PLAIN_SELECTORS:
            selector = {"matchLabels": selector}
        if any(selects(selector, found) for found in labels):
            return passed()
    first = selecting[0]
    return failed(
        Finding(
            message=f"the selector of the {kind} does not match the labels of the {target}",
            expected=" or ".join(map(shown, labels[:MAX_LISTED])),
            actual=shown(first.get("spec", "selector")),
            where=first.where("spec", "selector"),
        )
    )


def _labels(found: Resource) -> dict[Hashable, Any]:
    places = (*_POD_TEMPLATES, ("metadata", "labels"))
    labels = next((each for place in places if isinstance(each := found.get(*place), dict)), {})
    return dict(labels)


CHECKS = (kubernetes_object, kubernetes_field, kubernetes_refers, kubernetes_selects)
