"""Kubernetes manifests: a Deployment, and the container in it that serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from grader.check import Deliverable, UrlPath, check
from grader.checks.kubernetes.manifests import MAX_MESSAGE, Resource, differs, invalid, resources, shown
from grader.checks.kubernetes.quantity import parse_quantity
from grader.checks.kubernetes.selector import selects
from grader.documents import Problem
from grader.results import Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from collections.abc import Hashable

    from grader.context import Context


@dataclass(frozen=True, slots=True)
class _Container:
    resource: Resource
    place: tuple[Hashable, ...]
    data: dict[Any, Any]

    def get(self, *path: Hashable) -> Any:
        return self.resource.get(*self.place, *path)

    def where(self, *path: Hashable) -> str:
        return self.resource.where(*self.place, *path)


def _deployment(context: Context, *, file: Deliverable, name: str) -> Resource | Finding:
    """The Deployment of that name, else any Deployment.

    Args:
        name: the Deployment's name.
    """
    source = context.deliverable(file)
    documents = source.yaml
    if isinstance(documents, Problem):
        return documents.finding("a Kubernetes manifest")
    found = [each for each in resources(source, documents) if each.data.get("kind") == "Deployment"]
    named = [each for each in found if each.get("metadata", "name") == name]
    for each in named or found:
        return each
    return Finding(message="there is no Deployment", expected="kind: Deployment", where=source.name)


def _container(context: Context, *, file: Deliverable, name: str, image: str) -> _Container | Finding:
    """The Deployment's container with this image, or its first one if none has it.

    Args:
        name: the Deployment's name.
        image: the container's image.
    """
    deployment = _deployment(context, file=file, name=name)
    if isinstance(deployment, Finding):
        return deployment
    place = ("spec", "template", "spec", "containers")
    found = deployment.get(*place)
    containers = [
        _Container(deployment, (*place, index), data)
        for index, data in enumerate(found if isinstance(found, list) else [])
        if isinstance(data, dict)
    ]
    wanted = [each for each in containers if _same_image(each.get("image"), image)]
    for container in wanted or containers:
        return container
    return Finding(message="the Deployment's pods have no containers", where=deployment.where(*place))


@check("kubernetes.deployment", reads=_deployment)
def deployment(_: Context, found: Resource, *, name: str, api_version: str) -> Outcome:
    """A Deployment has this name, is valid against Kubernetes' schemas, and selects its own pods.

    Args:
        api_version: its apiVersion.
    """
    findings = list(invalid(found))
    if (actual := found.get("metadata", "name")) != name:
        findings.append(differs("metadata.name", name, actual, found.where("metadata", "name")))
    if (actual := found.get("apiVersion")) != api_version:
        findings.append(differs("apiVersion", api_version, actual, found.where("apiVersion")))
    labels = found.get("spec", "template", "metadata", "labels")
    if not findings and not selects(
        found.get("spec", "selector"), labels if isinstance(labels, dict) else {}
    ):
        findings.append(
            Finding(
                message="the selector does not match the labels of the pod template",
                expected=shown(found.get("spec", "selector")),
                actual=shown(labels),
                where=found.where("spec", "selector"),
            )
        )
    return failed(*findings) if findings else passed()


@check("kubernetes.image", reads=_container)
def image(_: Context, container: _Container, *, image: str) -> Outcome:
    """A container of the Deployment uses this image. No tag means `latest`; a digest may follow."""
    actual = container.get("image")
    if _same_image(actual, image):
        return passed()
    return failed(differs("image", image, actual, container.where("image")))


def _same_image(actual: object, wanted: str) -> bool:
    return isinstance(actual, str) and _normal(actual) == _normal(wanted)


def _normal(image: str) -> str:
    name = image.strip().partition("@")[0]
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


@check("kubernetes.replicas", reads=_deployment)
def replicas(_: Context, found: Resource, *, replicas: Annotated[int, Field(ge=0)]) -> Outcome:
    """The Deployment has this number of replicas.

    Args:
        replicas: the number of replicas.
    """
    actual = found.get("spec", "replicas")
    # In quotes it is the same number; that Kubernetes refuses it makes the manifest invalid, no more.
    if parse_quantity(actual) == replicas:
        return passed()
    return failed(differs("spec.replicas", replicas, actual, found.where("spec", "replicas")))


def _is_a_quantity(text: str) -> str:
    if parse_quantity(text) is None:
        raise ValueError(f"{text!r} is not a Kubernetes quantity; write 100m, 1, 256Mi or 1Gi")
    return text


Quantity = Annotated[str, AfterValidator(_is_a_quantity)]


@check("kubernetes.quantity", reads=_container)
def quantity(
    _: Context,
    container: _Container,
    *,
    kind: Literal["requests", "limits"],
    resource: str,
    quantity: Quantity,
) -> Outcome:
    """The container's `requests` or `limits` for a resource equal this quantity, however written.

    Args:
        kind: `requests` or `limits`.
        resource: `cpu`, `memory` or an extended resource.
        quantity: a Kubernetes quantity: `100m`, `256Mi`.
    """
    wanted = parse_quantity(quantity)

    path = ("resources", kind, resource)
    actual = container.get(*path)
    if actual is not None and parse_quantity(actual) == wanted:
        return passed()
    return failed(differs(f"resources.{kind}.{resource}", quantity, actual, container.where(*path)))


@check("kubernetes.probe", reads=_container)
def probe(
    _: Context,
    container: _Container,
    *,
    probe: Literal["livenessProbe", "readinessProbe", "startupProbe"],
    path: UrlPath,
) -> Outcome:
    """The container's probe is an HTTP GET for this path, on one of the container's ports.

    Args:
        probe: the kind of probe.
        path: the path that it requests.
    """
    match container.get(probe):
        case {"httpGet": dict(get)}:
            pass
        case actual:
            return failed(differs(probe, f"httpGet for {path}", actual, container.where(probe)))
    place = (probe, "httpGet")
    if not isinstance(get.get("path"), str) or _path(get["path"]) != path:
        return failed(
            differs(f"{probe}.httpGet.path", path, get.get("path"), container.where(*place, "path"))
        )
    if isinstance(host := get.get("host"), str) and host not in ("", "127.0.0.1", "localhost"):
        return failed(
            differs(f"{probe}.httpGet.host", "the pod itself", host, container.where(*place, "host"))
        )
    numbers, names = _ports(container)
    if _has_port(get.get("port"), numbers, names):
        return passed()
    expected = ", ".join(map(str, [*sorted(numbers), *sorted(names)])) or "a number from 1 to 65535"
    return failed(
        differs(f"{probe}.httpGet.port", expected, get.get("port"), container.where(*place, "port"))
    )


def _path(path: str) -> str:
    return "/" + path.partition("?")[0].strip("/")


def _ports(container: _Container) -> tuple[set[int], set[str]]:
    ports = container.get("ports")
    found = [port for port in (ports if isinstance(ports, list) else []) if isinstance(port, dict)]
    numbers = {port["containerPort"] for port in found if isinstance(port.get("containerPort"), int)}
    return numbers, {port["name"] for port in found if isinstance(port.get("name"), str)}


def _has_port(port: object, numbers: set[int], names: set[str]) -> bool:
    """Whether the container declares the port, by name or number; without any, each number is valid."""
    if isinstance(port, str):
        return port in names
    if not isinstance(port, int) or isinstance(port, bool):
        return False
    return port in numbers if numbers else 0 < port < 65536


@check("kubernetes.env", reads=_container)
def env(_: Context, container: _Container, *, variable: str) -> Outcome:
    """The container sets an environment variable, to a value or a reference.

    Args:
        variable: the variable's name.
    """
    found_entries = container.get("env")
    entries = found_entries if isinstance(found_entries, list) else []
    for index, entry in enumerate(entries):
        match entry:
            case {"name": found, "value": str(value)} if found == variable and value.strip():
                return passed()
            case {"name": found, "valueFrom": dict(reference)} if found == variable and reference:
                return passed()
            case {"name": found} if found == variable:
                where = container.where("env", index)
                return failed(
                    differs(f"the value of {variable}", "a value or a reference", entry.get("value"), where)
                )
    names = [str(entry["name"]) for entry in entries if isinstance(entry, dict) and "name" in entry]
    return failed(
        Finding(
            message=f"the container does not set {variable}",
            actual=", ".join(names)[:MAX_MESSAGE] or "no environment variables",
            where=container.where("env"),
        )
    )


CHECKS = (deployment, image, replicas, quantity, probe, env)
