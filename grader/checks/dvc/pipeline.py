"""dvc.yaml as DVC resolves it, and the parameters of its stages."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from functools import partial
from math import prod
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from grader.check import Deliverable, DeliverableIfAny, check
from grader.checks.dvc.filesystem import SubmissionFiles, filling_in, reading, refusal
from grader.documents import Problem, SourceFile
from grader.results import Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from grader.context import Context

MAX_MEMBERS = 100
"""How many stages one `foreach` or `matrix` may expand to."""

DEFAULT_PARAMS = "params.yaml"
"""DVC's default file for parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage, with templates filled in and paths relative to the submission's root."""

    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: Mapping[str, tuple[str, ...] | None]
    """Keys by file; None means the whole file."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A dvc.yaml: stages by the name before any `@`, or why DVC cannot resolve them."""

    file: SourceFile
    stages: Mapping[str, tuple[Stage, ...]] = field(default_factory=dict)
    broken: Mapping[str, Finding] = field(default_factory=dict)

    def where(self, *place: Hashable) -> str:
        """`dvc.yaml:12`"""
        documents = self.file.yaml
        line = documents[0].line(*place) if isinstance(documents, tuple) and documents else None
        return self.file.where(line)


@dataclass(frozen=True, slots=True)
class _Params:
    """A file of parameters."""

    name: str
    data: dict[Any, Any]


@dataclass(frozen=True, slots=True)
class _Members:
    """One definition of a pipeline, and the stages that it stands for."""

    name: str
    pipeline: Pipeline
    members: tuple[Stage, ...]


def resolved_pipeline(context: Context, *, file: Deliverable) -> Pipeline | Finding:
    """The pipeline as DVC resolves it, or why it cannot."""
    source = context.deliverable(file)
    return context.memo.once(("dvc pipeline", source.name), lambda: _read(context, source))


def _stage(context: Context, *, file: Deliverable, stage: str) -> _Members | Finding:
    """One stage of the pipeline.

    Args:
        stage: the stage's name.
    """
    pipeline = resolved_pipeline(context, file=file)
    if isinstance(pipeline, Finding):
        return pipeline
    if stage in pipeline.broken:
        return pipeline.broken[stage]
    if stage not in pipeline.stages:
        return Finding(
            message=f"there is no stage {stage}",
            expected=stage,
            actual=", ".join([*pipeline.stages, *pipeline.broken])[:300] or "no stages",
            where=pipeline.where("stages"),
        )
    return _Members(stage, pipeline, pipeline.stages[stage])


@check("dvc_pipeline.depends", reads=_stage)
def depends(_: Context, found: _Members, *, path: str) -> Outcome:
    """A stage depends on a file, or on a folder that contains it.

    Args:
        path: the file.
    """
    deps = [dep for member in found.members for dep in member.deps]
    if any(dep == path or (path.startswith(dep + "/") and dep != ".") for dep in deps):
        return passed()
    return failed(
        Finding(
            message=f"stage {found.name} does not depend on {path}",
            expected=path,
            actual=", ".join(deps)[:300] or "no dependencies",
            where=found.pipeline.where("stages", found.name, "deps"),
        )
    )


@check("dvc_pipeline.outputs", reads=_stage)
def outputs(_: Context, found: _Members, *, path: str) -> Outcome:
    """A stage lists a file among its outputs, metrics or plots.

    Args:
        path: the file.
    """
    outs = [out for member in found.members for out in member.outs]
    if path in outs:
        return passed()
    return failed(
        Finding(
            message=f"stage {found.name} does not output {path}",
            expected=path,
            actual=", ".join(outs)[:300] or "no outputs",
            where=found.pipeline.where("stages", found.name, "outs"),
        )
    )


def _params(context: Context, *, file: DeliverableIfAny) -> _Params | Finding:
    """The parameters file."""
    source = context.submission.deliverable(file)
    if source is None:
        message = f"the submission has no {DEFAULT_PARAMS}"
        return Finding(message=message, expected="the pipeline's parameters")
    if isinstance(source.yaml, Problem):
        return source.yaml.finding("a file of parameters")
    data = source.yaml[0].data if source.yaml else {}
    if len(source.yaml) > 1 or not isinstance(data, dict):
        return Finding(message="the top level is not a mapping", where=source.name)
    return _Params(source.name, data)


@check("dvc_pipeline.params_hold", reads=_params)
def params_hold(_: Context, params: _Params, *, names: tuple[str, ...]) -> Outcome:
    """The parameters file has a value for each name, at any depth.

    Args:
        names: the names of the parameters, all required.
    """
    missing = [
        Finding(message=f"no value for {name}", expected=f"a value for {name}", where=params.name)
        for name in names
        if not _holds(params.data, name)
    ]
    return failed(*missing) if missing else passed()


def _pipeline_with_params(
    context: Context, *, file: DeliverableIfAny, params: DeliverableIfAny
) -> tuple[Pipeline, _Params] | Finding:
    """The pipeline, and the parameters file that its stages may take from."""
    found = _params(context, file=params)
    if isinstance(found, Finding):
        return found
    if context.submission.deliverable(file) is None:
        return Finding(message="the submission has no dvc.yaml", expected="a DVC pipeline")
    pipeline = resolved_pipeline(context, file=file)
    return pipeline if isinstance(pipeline, Finding) else (pipeline, found)


@check("dvc_pipeline.params_taken", reads=_pipeline_with_params)
def params_taken(_: Context, found: tuple[Pipeline, _Params], *, names: tuple[str, ...]) -> Outcome:
    """Some stage takes each name as a parameter from the parameters file.

    Args:
        names: the names of the parameters, all required.
    """
    pipeline, params = found
    taken = [
        member.params[params.name]
        for each in pipeline.stages.values()
        for member in each
        if params.name in member.params
    ]
    missing = [name for name in names if not any(_takes(keys, name, params.data) for keys in taken)]
    findings = [
        Finding(
            message=f"no stage takes {name} as a parameter from {params.name}",
            expected=f"a key of {params.name} that includes {name}, under a stage's params",
            actual=", ".join(key for keys in taken for key in keys or ())[:300] or "none from that file",
            where=pipeline.where("stages"),
        )
        for name in missing
    ]
    return failed(*findings, *pipeline.broken.values()) if findings else passed()


def _read(context: Context, source: SourceFile) -> Pipeline | Finding:
    with filling_in(source.name):
        return _resolved(context, source)


def _resolved(context: Context, source: SourceFile) -> Pipeline | Finding:
    resolver = reading(source, lambda: _resolver(context, source))
    if isinstance(resolver, Finding):
        return resolver
    stages: dict[str, tuple[Stage, ...]] = {}
    broken: dict[str, Finding] = {}
    for name, definition in resolver.definitions.items():
        found = reading(source, partial(_members, source, resolver, name, definition))
        if isinstance(found, Finding):
            broken[name] = found
        else:
            stages[name] = found
    return Pipeline(source, stages, broken)


def _resolver(context: Context, source: SourceFile) -> Any:
    from dvc.parsing import DataResolver
    from dvc.schema import COMPILED_MULTI_STAGE_SCHEMA
    from dvc.utils.strictyaml import load

    files = SubmissionFiles(context.submission)
    data, _ = load(source.name, COMPILED_MULTI_STAGE_SCHEMA, files)
    return DataResolver(SimpleNamespace(fs=files, config={}), posixpath.dirname(source.name), data)


def _members(source: SourceFile, resolver: Any, name: str, definition: Any) -> tuple[Stage, ...] | Finding:
    """The stages that one definition stands for: itself, or each of a `foreach` or `matrix`."""
    names = [name]
    if hasattr(definition, "resolved_iterable"):
        values = definition.resolved_iterable
        matrix = hasattr(definition, "matrix_data")
        number = prod(len(each) for each in values.values()) if matrix else len(values)
        if number > MAX_MEMBERS:
            return refusal(source, f"stage {name} expands to {number} stages")
        names = definition.get_generated_names()
    return tuple(_member(source, resolver, each) for each in names)


def _member(source: SourceFile, resolver: Any, name: str) -> Stage:
    data = resolver.resolve_one(name)[name]
    base = posixpath.join(posixpath.dirname(source.name), str(data.get("wdir") or ""))
    params: dict[str, tuple[str, ...] | None] = {}
    for path, keys in _listed_params(data.get("params")):
        _add(params, _path(base, path), keys)
    # A parameter in a template is tracked as well: a change of it changes the command.
    for path, used in resolver.tracked_vars.get(name, {}).items():
        _add(params, posixpath.normpath(path), tuple(map(str, used)))
    return Stage(
        deps=tuple(_path(base, path) for path in _paths(data.get("deps"))),
        outs=tuple(
            _path(base, path) for key in ("outs", "metrics", "plots") for path in _paths(data.get(key))
        ),
        params=params,
    )


def _add(params: dict[str, tuple[str, ...] | None], path: str, keys: tuple[str, ...] | None) -> None:
    known = params.get(path, ())
    params[path] = None if keys is None or known is None else (*known, *keys)


def _path(base: str, path: str) -> str:
    return path if "://" in path else posixpath.normpath(posixpath.join(base, path))


def _paths(listed: object) -> Iterator[str]:
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            yield from (path for path in item if isinstance(path, str))


def _listed_params(listed: object) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, str):
            yield DEFAULT_PARAMS, (item,)
        for path, keys in item.items() if isinstance(item, dict) else ():
            if keys and not isinstance(keys, list):
                raise ValueError(f"expected a list of parameters for {path}")  # DVC refuses it as well
            yield str(path), tuple(map(str, keys)) if keys else None


def _holds(data: object, name: str) -> bool:
    """Whether the name has a value, at any depth."""
    match data:
        case dict():
            return _is_value(data.get(name)) or any(_holds(value, name) for value in data.values())
        case list():
            return any(_holds(value, name) for value in data)
        case _:
            return False


def _is_value(value: object) -> bool:
    return value is not None and not isinstance(value, (dict, list))


def _takes(keys: Sequence[str] | None, name: str, data: object) -> bool:
    if keys is None:
        return True
    for key in keys:
        parts = key.split(".")
        # A name that the file lacks is judged by params_hold; one mistake is not counted twice.
        if parts[-1] == name and (_found(data, parts) or not _holds(data, name)):
            return True
        if parts[-1] != name and _holds(_at(data, parts), name):
            return True
    return False


def _found(data: object, parts: Sequence[str]) -> bool:
    return _at(data, parts) is not None


def _at(data: object, parts: Sequence[str]) -> object:
    for part in parts:
        match data:
            case dict():
                data = data.get(part, data.get(int(part)) if part.isdecimal() and len(part) < 9 else None)
            case list() if part.isdecimal() and int(part) < len(data):
                data = data[int(part)]
            case _:
                return None
    return data


CHECKS = (depends, outputs, params_hold, params_taken)
