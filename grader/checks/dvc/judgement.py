"""Judge a push, and three runs of a pipeline."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.checks.dvc.pipeline import Stage
from grader.results import Finding, Outcome, failed, passed
from grader.runtime.sandbox.model import Ended
from grader.runtime.sandbox.text import plain

if TYPE_CHECKING:
    from grader.checks.dvc.edit import Change, Place
    from grader.checks.scripts.call import Called

_RUNS = re.compile(r"Running stage '([^'\n]+)'")
_FAILED_AT = re.compile(r"failed to reproduce '([^'\n]+)'")
_ERROR = re.compile(r"(?m)^ERROR: (.+)$")
_MAX_NAMED = 12

Stages = Mapping[str, tuple[Stage, ...]]
"""Stages by name, without the `@` suffix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A push, then a pull in another workspace."""

    url: str
    committed: Called
    pushed: Called | None = None
    keys: tuple[str, ...] = ()
    """The objects in the bucket after the push."""
    stored: bool = False
    """Whether an object under the remote's URL has the data."""
    pulled: Called | None = None
    returned: bool = False
    """Whether the pull restored the same bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repro:
    """One `dvc repro`."""

    called: Called
    rewritten: frozenset[str] = frozenset()
    """Declared outputs that this run wrote."""

    @property
    def ran(self) -> tuple[str, ...]:
        """The stages that DVC reports having run, without `@` suffixes."""
        said = _RUNS.findall(plain(self.called.run.stdout))
        return tuple(dict.fromkeys(_base(name) for name in said))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """A pipeline run from nothing, run again, and run after a change. What failed ends it."""

    first: Repro
    sizes: Mapping[str, int]
    """Declared outputs after the first run, with their sizes in bytes."""
    again: Repro | None = None
    params: str = ""
    """The file that was changed."""
    change: Change | None = None
    changed: Repro | None = None


def judge_push(seen: Pushed, path: str) -> Outcome:
    """Judge whether the data was stored and restored unchanged."""
    if not seen.committed.run.ok:
        return failed(dvc_finding(seen.committed, f"DVC cannot add {path} to its cache"))
    if seen.pushed is None or not seen.pushed.run.ok:
        return failed(dvc_finding(seen.pushed or seen.committed, "`dvc push` fails"))
    if not seen.stored:
        return failed(
            Finding(
                message=f"`dvc push` succeeds, but {path} is not in the remote",
                expected=f"an object under {seen.url} that holds the data",
                actual=", ".join(seen.keys[:_MAX_NAMED]) or "the bucket is empty",
                where=seen.pushed.shown,
                detail=seen.pushed.run.tail(10),
            )
        )
    if seen.pulled is None or not seen.pulled.run.ok:
        return failed(dvc_finding(seen.pulled or seen.pushed, "`dvc pull` fails to restore the data"))
    if not seen.returned:
        return failed(
            Finding(
                message=f"`dvc pull` does not restore the {path} that was pushed",
                expected="the same bytes",
                where=seen.pulled.shown,
                detail=seen.pulled.run.tail(10),
            )
        )
    return passed()


def judge_outputs(seen: Reproduced, outs: Sequence[str], filled: Collection[str]) -> Outcome:
    """Judge whether all declared outputs exist, and those in `filled` are not empty."""
    if not seen.first.called.run.ok:
        return failed(repro_finding(seen.first))
    if not outs:
        return failed(
            Finding(
                message="no stage declares an output",
                expected="each stage's results listed under its outs",
                where=seen.first.called.shown,
            )
        )
    missing = [out for out in outs if out not in seen.sizes]
    empty = [out for out in outs if out in filled and seen.sizes.get(out) == 0]
    if not missing and not empty:
        return passed()
    bad = "does not create" if missing else "leaves these outputs empty:"
    return failed(
        Finding(
            message=f"`dvc repro` succeeds, but {bad} {', '.join((missing or empty)[:_MAX_NAMED])}",
            expected="every declared output, inside the project",
            where=seen.first.called.shown,
            detail=seen.first.called.run.tail(10),
        )
    )


def judge_again(seen: Reproduced, stages: Stages, reruns: str, params: str, name: str) -> Outcome:
    """Judge whether nothing runs without a change, and with one only the stages that it affects."""
    if not seen.first.called.run.ok:
        return failed(repro_finding(seen.first))
    if seen.again is None:
        return failed(Finding(message="outputs are missing after the first `dvc repro`"))
    if not seen.again.called.run.ok:
        return failed(repro_finding(seen.again, "a second `dvc repro` fails where the first did not"))
    if seen.again.ran or seen.again.rewritten:
        return failed(_busy(seen.again, stages))
    if seen.change is None or seen.changed is None:
        return failed(
            Finding(
                message=f"{params} has no number {name} to change",
                expected=f"a number under {name}, at any depth",
                where=params,
            )
        )
    said = f"{seen.change.name} changed from {seen.change.old} to {seen.change.new}"
    if not seen.changed.called.run.ok:
        return failed(repro_finding(seen.changed, f"`dvc repro` fails with {said}"))
    return _judge_changed(seen.changed, stages, reruns, seen.params or params, seen.change.places, said)


def _judge_changed(
    repro: Repro, stages: Stages, reruns: str, params: str, places: Sequence[Place], said: str
) -> Outcome:
    if not _reran(repro, reruns, stages.get(reruns, ())):
        actual = ", ".join(repro.ran) or "nothing"
        return failed(
            Finding(
                message=f"with {said}, `dvc repro` does not rerun stage {reruns}",
                expected=f"stage {reruns} runs again, since it lists the parameter",
                actual=f"stages that ran: {actual}" if reruns in stages else f"there is no stage {reruns}",
                where=repro.called.shown,
                detail=repro.called.run.tail(12),
            )
        )
    concern = concerned(stages, params, places)
    needless = [stage for stage in repro.ran if stage in stages and stage not in concern]
    if not needless:
        return passed()
    return failed(
        Finding(
            message=f"with {said}, `dvc repro` also reruns stage {', '.join(needless)}",
            expected=f"only the affected stages run: {', '.join(sorted(concern))}",
            actual=", ".join(repro.ran),
            where=repro.called.shown,
            detail=repro.called.run.tail(12),
        )
    )


def _busy(repro: Repro, stages: Stages) -> Finding:
    writers = [name for name, each in stages.items() if _outs(each) & repro.rewritten]
    names = ", ".join(repro.ran or writers)
    written = ", ".join(sorted(repro.rewritten)[:_MAX_NAMED])
    return Finding(
        message=f"`dvc repro` runs stage {names} again although nothing changed",
        expected="no stage runs when nothing changed",
        actual=f"rewritten: {written}" if written else "",
        where=repro.called.shown,
        detail=repro.called.run.tail(12),
    )


def _reran(repro: Repro, name: str, members: Sequence[Stage]) -> bool:
    """Whether DVC says so and a rewritten output confirms it: any command can print DVC's words."""
    outs = _outs(members)
    return name in repro.ran and (not outs or bool(outs & repro.rewritten))


def concerned(stages: Stages, params: str, places: Sequence[Place]) -> set[str]:
    """The stages that a changed parameter affects: those that take it, and those downstream of them."""
    found = {name for name, members in stages.items() if any(takes(one, params, places) for one in members)}
    while True:
        made = [out for name in found for out in _outs(stages[name])]
        more = {
            name
            for name, members in stages.items()
            if name not in found
            and any(_overlap(dep, out) for each in members for dep in each.deps for out in made)
        }
        if not more:
            return found
        found |= more


def takes(stage: Stage, params: str, places: Sequence[Place]) -> bool:
    """Whether a stage takes the parameter: by key, by section, with the whole file or as a dependency."""
    if any(_overlap(dep, params) for dep in stage.deps):
        return True
    keys = stage.params.get(params, ())
    return keys is None or any(
        place[: len(parts)] == parts for key in keys for parts in (_parts(key),) for place in places
    )


def _parts(key: str) -> Place:
    """`grid[0].n_estimators` as `grid`, `0`, `n_estimators`."""
    return tuple(part for part in re.split(r"[.\[\]]+", key) if part)


def _outs(members: Sequence[Stage]) -> set[str]:
    return {out for member in members for out in member.outs}


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _base(name: str) -> str:
    """`dvc.yaml:train@small` as `train`."""
    return name.rpartition(":")[2].partition("@")[0]


def repro_finding(repro: Repro, message: str = "") -> Finding:
    """The finding for a failed `dvc repro`: the first stage that failed, and why."""
    called = repro.called
    at = _FAILED_AT.search(plain(called.run.stderr))
    stage = _base(at[1]) if at else (repro.ran[-1] if repro.ran else "")
    ended = "" if called.run.ended is Ended.EXITED else f" ({called.run.describe()})"
    said = f"`{called.shown}` fails at stage {stage}{ended}" if stage else ""
    return dvc_finding(called, message or said)


def dvc_finding(called: Called, message: str = "") -> Finding:
    """The finding for a failed DVC command: the candidate's traceback if there is one, else DVC's message."""
    error = _ERROR.search(plain(called.run.stderr))
    summary = called.traceback.summary if called.traceback is not None and called.traceback.where else ""
    shown = called.finding(message)
    if summary:
        return Finding(message=shown.message, actual=summary, where=shown.where, detail=shown.detail)
    ended = called.run.describe() if called.run.ended is not Ended.EXITED or called.run.error else ""
    return Finding(
        message=message or f"`{called.shown}` {called.run.describe()}",
        actual=ended or (error[1][:400] if error else called.run.describe()),
        where=called.shown,
        detail=called.run.tail(20),
    )
