"""A GitHub workflow as jobs and steps, with local reusable workflows and composite actions written out."""

from __future__ import annotations

import difflib
import posixpath
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from grader.checks.workflow.scope import Scope
from grader.documents import Problem, SourceFile, YamlDocument

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from grader.checks.workflow.events import Event
    from grader.context import Context
    from grader.submission.model import Submission

MAX_NESTING = 4
"""How deep workflows and actions are followed into one another; GitHub's own bounds are near."""
MAX_STEPS = 2_000
MAX_JOBS = 300


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a job."""

    data: Mapping[str, Any]
    where: str
    uses: str
    """The action, without its version; empty for a shell step."""
    inputs: Mapping[str, str]
    script: str
    """What `run:` holds, expressions filled in as far as they are known."""
    environment: Mapping[str, str]
    directory: str
    """Where it runs, from the submission's root."""
    shell: str
    failure_ignored: bool
    """Its failure does not fail the job."""
    line: int | None = None
    file: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One job that runs on a machine; those of a called workflow are `caller/job`."""

    id: str
    data: Mapping[str, Any]
    where: str
    needs: tuple[str, ...]
    conditions: tuple[Any, ...]
    """Its own `if:`, and that of the job that calls it."""
    environment: Mapping[str, str]
    target: str
    """The deployment environment's name."""
    runner: str
    """The labels of the machine that it runs on."""
    steps: tuple[Step, ...]
    failure_ignored: bool


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow file that holds a mapping."""

    file: SourceFile
    document: YamlDocument
    data: dict[Any, Any]
    jobs: Mapping[str, Job]
    event: Event | None = None
    """The event as part of which it is read."""

    def where(self, *path: Hashable) -> str:
        """`file:line` of a path."""
        return self.file.where(self.document.line(*path))


def read(context: Context, file: str, event: Event | None = None) -> Workflow | Problem | None:
    """A deliverable as a workflow that an event starts, read once; None where it is missing."""
    source = context.submission.deliverable(file)
    if source is None:
        return None
    key = ("workflow", source.name, event)
    return context.memo.once(key, lambda: parse(source, context.submission, event))


def parse(file: SourceFile, submission: Submission, event: Event | None) -> Workflow | Problem:
    """Read a file as a workflow that an event starts."""
    documents = file.yaml12
    if isinstance(documents, Problem):
        return documents
    if len(documents) != 1 or not isinstance(documents[0].data, dict):
        return Problem(file.name, "the workflow must be a single YAML mapping")
    reader = _Reader(submission)
    scope = Scope(event=event, inputs={} if event is None else event.inputs)
    jobs = tuple(reader.jobs(file, documents[0], scope, "", (), ()))
    return Workflow(file, documents[0], documents[0].data, {job.id: job for job in _resolved(jobs)}, event)


def _resolved(jobs: tuple[Job, ...]) -> Iterator[Job]:
    """The jobs, a need that names none of them taken for the one that comes nearest, else for all above.

    The file is not valid then, which costs what it costs; who waits for whom is judged as it is meant.
    """
    names = [job.id for job in jobs]
    for index, job in enumerate(jobs):
        needs: list[str] = []
        for need in job.needs:
            near = [need] if need in names else difflib.get_close_matches(need, names, n=1)
            needs += near or names[:index]
        yield replace(job, needs=tuple(dict.fromkeys(needs)))


def needs_of(data: Any) -> tuple[str, ...]:
    """What a job says it needs."""
    match data:
        case {"needs": str(one)}:
            return (one,)
        case {"needs": list(several)}:
            return tuple(each for each in several if isinstance(each, str))
    return ()


class _Reader:
    def __init__(self, submission: Submission) -> None:
        self._submission = submission
        self._left = MAX_STEPS
        self._jobs_left = MAX_JOBS

    def jobs(
        self,
        file: SourceFile,
        document: YamlDocument,
        outer: Scope,
        prefix: str,
        above: tuple[str, ...],
        conditions: tuple[Any, ...],
    ) -> Iterator[Job]:
        """The jobs of a workflow; `above` are the jobs that must be through before any of them."""
        data = document.data
        found = data.get("jobs") if isinstance(data, dict) else None
        if not isinstance(found, dict):
            return
        scope = outer.entered(env=data.get("env"))
        callees = self._callees(found)
        for key, job in found.items():
            if isinstance(job, dict):
                for each in self._called(file, document, scope, prefix, above, conditions, str(key), job):
                    yield _rewired(each, prefix, callees)

    def _callees(self, jobs: dict[Any, Any]) -> Mapping[str, tuple[str, ...]]:
        """The jobs inside of each job that calls a local workflow."""
        callees: dict[str, tuple[str, ...]] = {}
        for key, job in jobs.items():
            called = self._workflow(job.get("uses")) if isinstance(job, dict) else None
            inner = called[1].data.get("jobs") if called is not None else None
            if isinstance(inner, dict):
                callees[str(key)] = tuple(f"{key}/{name}" for name in inner)
        return callees

    def _called(
        self,
        file: SourceFile,
        document: YamlDocument,
        scope: Scope,
        prefix: str,
        above: tuple[str, ...],
        conditions: tuple[Any, ...],
        key: str,
        job: dict[Any, Any],
    ) -> Iterator[Job]:
        self._jobs_left -= 1
        if self._jobs_left < 0:
            return
        needs = (*above, *(prefix + name for name in needs_of(job)))
        own = (*conditions, *([job["if"]] if "if" in job else []))
        called = self._workflow(job.get("uses"))
        if called is not None and prefix.count("/") < MAX_NESTING:
            inputs = _inputs(called[1].data, scope.texts(job.get("with")))
            inner = Scope(inputs=inputs, event=scope.event)
            yield from self.jobs(*called, inner, f"{prefix}{key}/", needs, own)
            return
        inside = scope.entered(env=job.get("env"), matrix=job.get("strategy"))
        defaults = {**_defaults(document.data), **_defaults(job)}
        yield Job(
            id=prefix + key,
            data=job,
            where=file.where(document.line("jobs", key)),
            needs=needs,
            conditions=own,
            environment=inside.environment,
            target=_target(job, inside),
            runner=_runner(job.get("runs-on"), inside),
            steps=tuple(self._work(file, document, key, job, inside, defaults)),
            failure_ignored=_is_true(job.get("continue-on-error"), inside),
        )

    def _work(
        self,
        file: SourceFile,
        document: YamlDocument,
        key: str,
        job: dict[Any, Any],
        scope: Scope,
        defaults: Mapping[str, str],
    ) -> Iterator[Step]:
        """A job's steps; a workflow of another repository that it calls is one step that uses it."""
        if isinstance(job.get("uses"), str):
            called = {"uses": job["uses"], "with": job.get("with")}
            yield _step(file, document.line("jobs", key, "uses"), called, scope, defaults)
            return
        yield from self._steps(file, document, ("jobs", key, "steps"), job.get("steps"), scope, defaults, 0)

    def _workflow(self, uses: Any) -> tuple[SourceFile, YamlDocument] | None:
        """A reusable workflow of the submission."""
        if not isinstance(uses, str) or not uses.startswith("./"):
            return None
        return self._mapping(posixpath.normpath(uses))

    def _mapping(self, path: str) -> tuple[SourceFile, YamlDocument] | None:
        file = self._submission.file(path)
        documents = None if file is None else file.yaml12
        if file is None or documents is None or isinstance(documents, Problem) or not documents:
            return None
        return (file, documents[0]) if isinstance(documents[0].data, dict) else None

    def _steps(
        self,
        file: SourceFile,
        document: YamlDocument,
        place: tuple[Hashable, ...],
        steps: Any,
        scope: Scope,
        defaults: Mapping[str, str],
        depth: int,
    ) -> Iterator[Step]:
        for index, data in enumerate(steps if isinstance(steps, list) else []):
            self._left -= 1
            if not isinstance(data, dict) or self._left < 0:
                continue
            step = _step(file, document.line(*place, index), data, scope, defaults)
            action = self._action(data.get("uses"))
            if action is None or depth >= MAX_NESTING:
                run = document.line(*place, index, "run") if step.script else None
                yield step if run is None else replace(step, where=file.where(run), line=run)
                continue
            inputs = _inputs(action[1].data, step.inputs)
            inner = Scope(step.environment, inputs, scope.matrix, scope.event)
            runs = action[1].data.get("runs")
            nested = runs.get("steps") if isinstance(runs, dict) else None
            for each in self._steps(*action, ("runs", "steps"), nested, inner, defaults, depth + 1):
                yield _under(each, step)

    def _action(self, uses: Any) -> tuple[SourceFile, YamlDocument] | None:
        """A composite action of the submission."""
        if not isinstance(uses, str) or not uses.startswith("./"):
            return None
        folder = posixpath.normpath(uses)
        names = (posixpath.join(folder, name) for name in ("action.yml", "action.yaml"))
        return next(filter(None, map(self._mapping, names)), None)


def _rewired(job: Job, prefix: str, callees: Mapping[str, tuple[str, ...]]) -> Job:
    """A job that needs a caller needs every job of the workflow that is called."""
    needs: list[str] = []
    for need in job.needs:
        inside = callees.get(need.removeprefix(prefix), ())
        needs += [prefix + name for name in inside] or [need]
    return replace(job, needs=tuple(needs))


def _step(
    file: SourceFile, line: int | None, data: dict[Any, Any], scope: Scope, defaults: Mapping[str, str]
) -> Step:
    inner = scope.entered(env=data.get("env"))
    uses = data.get("uses")
    directory = data.get("working-directory", defaults.get("working-directory", "."))
    return Step(
        data=data,
        where=file.where(line),
        uses=uses.partition("@")[0].strip() if isinstance(uses, str) else "",
        inputs=inner.texts(data.get("with")),
        script=inner.text(data.get("run")),
        environment=inner.environment,
        directory=inner.text(directory) or ".",
        shell=inner.text(data.get("shell")) or defaults.get("shell", ""),
        failure_ignored=_is_true(data.get("continue-on-error"), inner),
        line=line,
        file=file.name,
    )


def _under(inner: Step, outer: Step) -> Step:
    """A step of a composite action, under the conditions of the step that uses it."""
    conditions = {"if": outer.data["if"]} if "if" in outer.data else {}
    return replace(
        inner,
        data={**inner.data, **conditions},
        failure_ignored=inner.failure_ignored or outer.failure_ignored,
    )


def _inputs(data: Any, given: Mapping[str, str]) -> dict[str, Any]:
    """What a called workflow or action gets, its defaults included."""
    match data:
        case {"on": {"workflow_call": {"inputs": dict(declared)}}} | {"inputs": dict(declared)}:
            defaults = {
                str(name): spec["default"]
                for name, spec in declared.items()
                if isinstance(spec, dict) and isinstance(spec.get("default"), str | int | float | bool)
            }
            return {**defaults, **given}
    return dict(given)


def _defaults(data: Any) -> dict[str, str]:
    match data:
        case {"defaults": {"run": dict(run)}}:
            return {str(key): value for key, value in run.items() if isinstance(value, str)}
    return {}


def _target(job: dict[Any, Any], scope: Scope) -> str:
    match job.get("environment"):
        case {"name": name} | (str() as name):
            return scope.text(name)
    return ""


def _runner(labels: Any, scope: Scope) -> str:
    match labels:
        case {"labels": inner} | {"group": inner}:
            return _runner(inner, scope)
        case list():
            return " ".join(scope.text(label) for label in labels)
    return scope.text(labels)


def _is_true(value: Any, scope: Scope) -> bool:
    return value is True or (isinstance(value, str) and scope.text(value).strip().lower() == "true")
