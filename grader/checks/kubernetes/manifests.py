"""Objects of Kubernetes manifests: where they stand, and what Kubernetes' schemas say of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from grader.documents import SourceFile, YamlDocument
from grader.errors import GraderFault
from grader.readers.plain_data import as_json
from grader.results import Finding

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

MAX_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class Resource:
    """One object of a manifest, with its position in the file."""

    file: SourceFile
    document: YamlDocument
    place: tuple[Hashable, ...]
    data: dict[Any, Any]

    def get(self, *path: Hashable) -> Any:
        """The value at a path, or None."""
        value: Any = self.data
        for key in path:
            match value:
                case dict():
                    value = value.get(key)
                case list() if isinstance(key, int) and key < len(value):
                    value = value[key]
                case _:
                    return None
        return value

    def where(self, *path: Hashable) -> str:
        """`file:line` of a path, or of its nearest parent."""
        return self.file.where(self.document.line(*self.place, *path))


def resources(file: SourceFile, documents: tuple[YamlDocument, ...]) -> Iterator[Resource]:
    """Every object of a manifest, those of a List one by one."""
    for document in documents:
        match document.data:
            case {"kind": str(kind), "items": list(items)} if kind.endswith("List"):
                for index, item in enumerate(items):
                    if isinstance(item, dict):
                        yield Resource(file, document, ("items", index), item)
            case dict() as data:
                yield Resource(file, document, (), data)


@cache
def known_kinds() -> frozenset[str]:
    """The kinds of objects that the current Kubernetes has."""
    from kubernetes_validate.utils import latest_version, schema_contents  # type: ignore[import-untyped]

    latest = latest_version()
    schemas = schema_contents(f"kubernetes-json-schema/v{latest}-local/_definitions.json", latest)
    return frozenset(
        str(told["kind"])
        for schema in schemas["$defs"].values()
        for told in schema.get("x-kubernetes-group-version-kind", ())
    )


def invalid(found: Resource) -> Iterator[Finding]:
    """Yield why Kubernetes' schema rejects the object."""
    for key, line in found.document.duplicates:
        yield Finding(message=f"duplicate key {key}", where=found.file.where(line))
    if not all(isinstance(found.get(key), str) for key in ("apiVersion", "kind")):
        yield Finding(message="apiVersion and kind must be strings", where=found.where())
        return
    version = r"v\d{1,3}(?:(?:alpha|beta)\d{1,3})?"
    kind = found.data["kind"][:MAX_MESSAGE]
    group = "apps/" if kind == "Deployment" else r"(?:[a-z0-9][a-z0-9.-]{0,100}/)?"
    if re.fullmatch(group + version, found.data["apiVersion"]) is None:
        yield Finding(
            message=f"no Kubernetes version has kind {kind} in this apiVersion",
            actual=found.data["apiVersion"][:MAX_MESSAGE],
            where=found.where("apiVersion"),
        )
        return
    yield from _schema_errors(found)


def _schema_errors(found: Resource) -> Iterator[Finding]:
    import kubernetes_validate  # type: ignore[import-untyped]
    from kubernetes_validate.utils import SchemaNotFoundError
    from referencing.exceptions import Unresolvable

    kind = str(found.data["kind"])[:MAX_MESSAGE]
    try:
        # Unknown fields are refused as `kubectl apply` refuses them: most are misspelt or misplaced.
        kubernetes_validate.validate(as_json(found.data), kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        path = tuple(error.absolute_path)
        yield Finding(
            message=f"Kubernetes rejects the {kind}: {error.message[:MAX_MESSAGE]}",
            where=found.where(*path),
            detail=".".join(str(part) for part in path),
        )
    except SchemaNotFoundError:
        yield Finding(
            message=f"the current Kubernetes has no kind {kind} in this apiVersion",
            actual=str(found.data["apiVersion"]),
            where=found.where("apiVersion"),
        )
    except (OSError, AttributeError, Unresolvable, kubernetes_validate.InvalidSchemaError) as error:
        raise GraderFault(f"the Kubernetes schemas cannot be used: {error}") from error


def differs(what: str, expected: object, actual: object, where: str) -> Finding:
    """A value that is missing or another one."""
    return Finding(
        message=f"{what} is missing" if actual is None else f"{what} is wrong",
        expected=str(expected),
        actual="" if actual is None else shown(actual),
        where=where,
    )


def shown(value: object) -> str:
    """A value as written in a manifest; text that looks like another type is quoted."""
    if value is None:
        return "nothing"
    plain = isinstance(value, str) and re.match(r"[\w./-]*[A-Za-z/]", value) is not None
    return (str(value) if plain else json.dumps(as_json(value), ensure_ascii=False))[:MAX_MESSAGE]
