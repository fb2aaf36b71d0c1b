"""DVC run for real: data pushed and pulled, the pipeline run, rerun, and run after a change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from grader.check import Deliverable, DeliverableIfAny, GivenFile, check
from grader.checks.dvc.command import PUT_ASIDE, Limited, dvc, first, require, settings_files
from grader.checks.dvc.config import configuration, remotes_of, tracked_outputs, url_of
from grader.checks.dvc.edit import Change, Place, change
from grader.checks.dvc.judgement import (
    Pushed,
    Repro,
    Reproduced,
    Stages,
    judge_again,
    judge_outputs,
    judge_push,
    takes,
)
from grader.checks.dvc.pipeline import DEFAULT_PARAMS, Pipeline, Stage, resolved_pipeline
from grader.checks.scripts.variables import pipeline_variables
from grader.errors import GraderFault
from grader.results import Evidence, Finding, Outcome, failed

if TYPE_CHECKING:
    from grader.context import Context
    from grader.documents import SourceFile
    from grader.runtime.cell import Cell
    from grader.runtime.services.s3 import ObjectStore

_LOCK_FILES = ("dvc.lock", "*/dvc.lock")
_WITHOUT = (*PUT_ASIDE, "dvc.yaml", "*/dvc.yaml", *_LOCK_FILES)
"""A pipeline that DVC cannot read is no reason for a push to fail."""
_S3 = "s3://"
_YAML = (".yaml", ".yml", ".json")

_REWRITE = """
import sys
path, start, end, new = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
with open(path, encoding="utf-8", newline="") as file:
    text = file.read()
with open(path, "w", encoding="utf-8", newline="") as file:
    file.write(text[:start] + new + text[end:])
"""


class Push(Limited):
    """`dvc push` to a live S3 endpoint, and `dvc pull` from it."""

    kind: ClassVar[str] = "dvc_push"

    tracked: Deliverable
    """The `.dvc` file that `dvc add` wrote."""
    config: Deliverable
    """DVC's configuration."""
    path: GivenFile
    """The data file to push."""
    url: str
    """The URL of the remote to push to."""


class Reproducing(Limited):
    """`dvc repro` from scratch, again without a change, and once more after a change."""

    kind: ClassVar[str] = "dvc_repro"

    pipeline: Deliverable
    """The `dvc.yaml`."""
    config: DeliverableIfAny
    """DVC's configuration; an empty one is used if it is missing or broken."""
    params: DeliverableIfAny
    """The parameters file."""
    param: str
    """The parameter to change before the last run."""
    reruns: str
    """The stage that takes it."""


@dataclass(frozen=True, slots=True)
class _Declared:
    """What a submission says of where its data are."""

    settings: Mapping[str, Any]
    outputs: Mapping[str, Mapping[str, Any]]


def _declared(context: Context, *, scenario: Push) -> _Declared | Finding:
    """What the configuration and the DVC file say."""
    settings = configuration(context, file=scenario.config)
    if isinstance(settings, Finding):
        return settings
    outputs = tracked_outputs(context, file=scenario.tracked)
    return outputs if isinstance(outputs, Finding) else _Declared(settings, outputs)


@check("dvc.push_round_trip", reads=_declared, evidence=Evidence.RUNS, tools=("git",), needs_runtime=True)
def push_round_trip(context: Context, declared: _Declared, *, scenario: Push) -> Outcome:
    """`dvc push` stores the data on a live S3 endpoint, and `dvc pull` restores the same bytes."""
    outputs, path, url = declared.outputs, scenario.path, scenario.url
    remote = _remote(declared.settings, outputs.get(path, {}), url)
    impossible = _impossible(path, outputs, remote, url)
    if impossible is not None or remote is None:
        return failed(impossible or Finding(message="there is no remote"), evidence=Evidence.STATIC)
    require(context, scenario)
    seen = context.memo.once(("dvc push", remote.name, scenario), lambda: _push(context, remote, scenario))
    return failed(seen) if isinstance(seen, Finding) else judge_push(seen, path)


def _pipeline(context: Context, *, scenario: Reproducing) -> Pipeline | Finding:
    """The pipeline that is reproduced."""
    return resolved_pipeline(context, file=scenario.pipeline)


@check("dvc.repro", reads=_pipeline, evidence=Evidence.RUNS, tools=("git",), needs_runtime=True)
def repro(context: Context, pipeline: Pipeline, *, scenario: Reproducing, filled: tuple[str, ...]) -> Outcome:
    """`dvc repro` on the given raw data creates every declared output.

    Args:
        filled: outputs that must not be empty.
    """
    require(context, scenario)
    return judge_outputs(_reproduced(context, pipeline, scenario), _outs(pipeline.stages), filled)


@check("dvc.repro_again", reads=_pipeline, evidence=Evidence.RUNS, tools=("git",), needs_runtime=True)
def repro_again(context: Context, pipeline: Pipeline, *, scenario: Reproducing) -> Outcome:
    """A second `dvc repro` runs nothing; after a parameter changes, it reruns only the affected stages."""
    require(context, scenario)
    seen = _reproduced(context, pipeline, scenario)
    return judge_again(
        seen, pipeline.stages, scenario.reruns, _params_name(context, scenario), scenario.param
    )


# --- push -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remote:
    """Where a push goes."""

    name: str
    url: str
    settings: Mapping[str, Any]

    @property
    def bucket(self) -> str:
        """`mlops-exam` of `s3://mlops-exam/dvc-store`."""
        return self.url.removeprefix(_S3).partition("/")[0]

    def holds(self, key: str) -> bool:
        """Whether an object lies under the URL; slashes may be doubled in it."""
        path = self.url.removeprefix(_S3).partition("/")[2]
        return _names(key)[: len(_names(path))] == _names(path)


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


def _remote(settings: Mapping[str, Any], output: Mapping[str, Any], url: str) -> _Remote | None:
    """The remote that the output names, or has the exam's URL, or is the default, or is on S3; in this order.

    A default that does not exist and a URL that is another are paid for elsewhere.
    """
    core, remotes = settings.get("core"), remotes_of(settings)
    default = core.get("remote") if isinstance(core, dict) else None
    urls = {name: url_of(remotes, name) for name in remotes}
    right = [name for name, each in urls.items() if each.rstrip("/") == url.rstrip("/")]
    on_s3 = [name for name, each in urls.items() if each.startswith(_S3)]
    first = [default] if default in right else []
    ordered = [output.get("remote"), *first, *right, default, *on_s3, *urls]
    name = next((name for name in ordered if name in urls), None)
    return _Remote(name=name, url=urls[name], settings=remotes[name]) if name is not None else None


def _impossible(path: str, outputs: Mapping[str, Any], remote: _Remote | None, url: str) -> Finding | None:
    """What keeps a push from being tried."""
    if path not in outputs:
        return Finding(message=f"{path} is not tracked, so it cannot be pushed", expected=path)
    if remote is None:
        return Finding(message="there is no remote to push to", expected="a remote in the DVC configuration")
    if not remote.url.startswith(_S3):
        return Finding(message=f"the remote {remote.name} is not on S3", expected=url, actual=remote.url)
    return None


def _push(context: Context, remote: _Remote, scenario: Push) -> Pushed | Finding:
    path, track = scenario.path, context.submission.deliverable(scenario.tracked)
    settings = settings_files(context, scenario.config, remote.name, remote.settings)
    if isinstance(settings, Finding):
        return settings
    if track is None:
        raise GraderFault(f"there is no {scenario.tracked} to push")
    data = context.given(path)
    runtime = context.require_runtime()
    with runtime.object_store() as store:
        if not store.make_bucket(remote.bucket):
            return Finding(message=f"{remote.bucket!r} is not a valid S3 bucket name", actual=remote.url)
        with runtime.cell(objects=store, without=_WITHOUT, files=settings, git=True) as cell:
            seen = _pushed(cell, store, track, data, remote, scenario)
            tracked = cell.read(track.name) or track.absolute.read_bytes()
        if not seen.stored:
            return seen
        # As another machine would: from nothing but what went into git, and the remote.
        files, without = {**settings, track.name: tracked}, (*_WITHOUT, path)
        with runtime.cell(objects=store, without=without, files=files, git=True) as cell:
            pulled = dvc(cell, scenario, "pull", f"--remote={remote.name}", "--", track.name)
            return replace(seen, pulled=pulled, returned=cell.read(path, len(data)) == data)


def _pushed(
    cell: Cell, store: ObjectStore, track: SourceFile, data: bytes, remote: _Remote, scenario: Limited
) -> Pushed:
    """Commit and push. DVC silently skips what is not in the cache, hence the commit."""
    committed = first(cell, scenario, "commit", "--force", "--", track.name)
    if not committed.run.ok:
        return Pushed(url=remote.url, committed=committed)
    pushed = dvc(cell, scenario, "push", f"--remote={remote.name}", "--", track.name)
    keys = store.keys(remote.bucket)
    # Where an object lies under the URL is DVC's affair: its versions differ.
    stored = any(store.read(remote.bucket, key) == data for key in keys if remote.holds(key))
    return Pushed(url=remote.url, committed=committed, pushed=pushed, keys=tuple(keys), stored=stored)


# --- repro ----------------------------------------------------------------------------------------


def _reproduced(context: Context, pipeline: Pipeline, scenario: Reproducing) -> Reproduced:
    key = ("dvc repro", pipeline.file.name, scenario)
    return context.memo.once(key, lambda: _reproduce(context, pipeline, scenario))


def _reproduce(context: Context, pipeline: Pipeline, scenario: Reproducing) -> Reproduced:
    outs = _outs(pipeline.stages)
    given = context.submission.given or context.exam.data
    local = settings_files(context, scenario.config)
    if isinstance(local, Finding):
        raise GraderFault(local.message)
    # An output that is a folder of given data is emptied by DVC itself, if at all.
    kept = {path: data for path, data in given.items() if any(path.startswith(f"{out}/") for out in outs)}
    runtime = context.require_runtime()
    without = (*PUT_ASIDE, *_LOCK_FILES, *outs)
    with (
        runtime.mlflow("dvc-repro") as server,
        runtime.cell(
            mlflow=server,
            without=without,
            files={**kept, **local},
            env=pipeline_variables(context.submission, pipeline.file),
            git=True,
        ) as cell,
    ):
        return _three_runs(context, cell, pipeline, outs, scenario)


def _three_runs(
    context: Context, cell: Cell, pipeline: Pipeline, outs: Sequence[str], scenario: Reproducing
) -> Reproduced:
    words = ("repro", *([] if pipeline.file.name == "dvc.yaml" else [pipeline.file.name]))
    begun = Repro(called=first(cell, scenario, *words))
    made = _stamps(cell, outs)
    seen = Reproduced(first=begun, sizes=_sizes(made, outs))
    if not begun.called.run.ok or len(seen.sizes) < len(outs):
        return seen
    called, before, made = dvc(cell, scenario, *words), made, _stamps(cell, outs)
    again = Repro(called=called, rewritten=_rewritten(before, made))
    params, edit = _change(context, cell, pipeline.stages, scenario) if again.called.run.ok else ("", None)
    if edit is None:
        return replace(seen, again=again)
    cell.python("-I", "-c", _REWRITE, params, str(edit.start), str(edit.end), edit.new)
    changed = Repro(called=dvc(cell, scenario, *words), rewritten=_rewritten(made, _stamps(cell, outs)))
    return replace(seen, again=again, params=params, change=edit, changed=changed)


def _change(context: Context, cell: Cell, stages: Stages, scenario: Reproducing) -> tuple[str, Change | None]:
    """What to write, into the file as it is now: where the stage takes it, if it takes it anywhere.

    Where the file of parameters has no such number, another that the stage names may: that it is another is
    paid for elsewhere.
    """
    members = stages.get(scenario.reruns, ())
    others = (path for each in members for path in each.params if PurePosixPath(path).suffix in _YAML)
    for params in dict.fromkeys((_params_name(context, scenario), *others)):
        try:
            text = (cell.read(params) or b"").decode()
        except UnicodeDecodeError:
            continue
        taken = partial(_taken, members, params)
        if (edit := change(text, scenario.param, taken)) is not None:
            return params, edit
    return "", None


def _taken(members: Sequence[Stage], params: str, place: Place) -> bool:
    return any(takes(each, params, [place]) for each in members)


def _params_name(context: Context, scenario: Reproducing) -> str:
    source = context.submission.deliverable(scenario.params)
    return source.name if source is not None else DEFAULT_PARAMS


def _outs(stages: Stages) -> list[str]:
    """The outputs that DVC creates locally; outputs in a cloud are left out."""
    named = (out for members in stages.values() for each in members for out in each.outs)
    return [out for out in dict.fromkeys(named) if "://" not in out]


_Stamps = Mapping[str, dict[str, tuple[int, int, int]]]
"""Output -> its files -> size, time and number, which differ after DVC removed and a command made it anew."""


def _stamps(cell: Cell, outs: Iterable[str]) -> _Stamps:
    found: dict[str, dict[str, tuple[int, int, int]]] = {out: {} for out in outs}
    for entry in cell.files.walk():
        for owner in (entry.path, *map(str, PurePosixPath(entry.path).parents)):
            if owner in found:
                found[owner][entry.path] = entry.size, entry.modified, entry.number
    return found


def _rewritten(before: _Stamps, after: _Stamps) -> frozenset[str]:
    return frozenset(out for out, files in after.items() if files != before[out])


def _sizes(stamps: _Stamps, outs: Iterable[str]) -> dict[str, int]:
    return {out: sum(size for size, _, _ in stamps[out].values()) for out in outs if stamps[out]}


CHECKS = (push_round_trip, repro, repro_again)
