"""What a workflow comes to when something in it fails: which acts still run, and which wait for which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grader.checks.workflow.expressions import UNKNOWN, condition, has_status_function
from grader.checks.workflow.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grader.checks.workflow.actions import Act
    from grader.checks.workflow.events import Event
    from grader.checks.workflow.facts import Job, Workflow


def ancestors(workflow: Workflow, job: str) -> set[str]:
    """The jobs that are through before this one starts."""
    found: set[str] = set()
    waiting = list(workflow.jobs[job].needs) if job in workflow.jobs else []
    while waiting:
        name = waiting.pop()
        if name in workflow.jobs and name not in found:
            found.add(name)
            waiting += workflow.jobs[name].needs
    return found


def comes_after(workflow: Workflow, later: Act, earlier: Act) -> bool:
    """Whether an act waits for another: in a later step of the same job, or by `needs`."""
    if later.job.id == earlier.job.id:
        return earlier.position < later.position
    return earlier.job.id in ancestors(workflow, later.job.id)


def run(workflow: Workflow, done: Sequence[Act], event: Event, failing: Act | None = None) -> frozenset[Act]:
    """The acts that run, or may run, on an event, when one of them fails."""
    return frozenset(_Simulation(workflow, done, event, failing).acts())


def fails(workflow: Workflow, done: Sequence[Act], event: Event, failing: Act) -> bool:
    """Whether the workflow fails on an event when one of the acts does."""
    simulation = _Simulation(workflow, done, event, failing)
    simulation.acts()
    return simulation.failed


class _Simulation:
    def __init__(self, workflow: Workflow, done: Sequence[Act], event: Event, failing: Act | None) -> None:
        self._workflow = workflow
        self._event = event
        self._failing = failing
        self._results: dict[str, str] = {}
        self._by_step: dict[tuple[str, int], list[Act]] = {}
        for act in done:
            self._by_step.setdefault((act.job.id, act.position[0]), []).append(act)

    @property
    def failed(self) -> bool:
        """Whether a job failed."""
        return "failure" in self._results.values()

    def acts(self) -> list[Act]:
        """What runs, in order."""
        reached: list[Act] = []
        waiting = dict(self._workflow.jobs)
        while waiting:
            ready = [job for job in waiting.values() if not any(need in waiting for need in job.needs)]
            for job in ready or [self._out_of_a_circle(waiting)]:
                del waiting[job.id]
                reached += self._job(job)
        return reached

    def _out_of_a_circle(self, waiting: Mapping[str, Job]) -> Job:
        """The job to go on with where the rest need one another, which GitHub refuses."""
        if self._failing is not None and self._failing.job.id in waiting:
            return waiting[self._failing.job.id]
        return next(iter(waiting.values()))

    def _job(self, job: Job) -> list[Act]:
        before = [
            self._results[name]
            for name in ancestors(self._workflow, job.id)
            if name in self._results  # in a circle, some have not run yet
        ]
        succeeded = all(result == "success" for result in before)
        failed = "failure" in before
        conditions: Sequence[Any] = job.conditions or (None,)
        scope = Scope(job.environment, event=self._event)
        lookup = _Lookup(scope, "needs", self._of_needs(job))
        if any(_holds(each, lookup, succeeded=succeeded, failed=failed) is False for each in conditions):
            self._results[job.id] = "skipped"
            return []
        reached, well = self._steps(job, scope)
        self._results[job.id] = "success" if well or job.failure_ignored else "failure"
        return reached

    def _of_needs(self, job: Job) -> dict[str, str]:
        prefix = job.id.rpartition("/")[0]
        own = {name.removeprefix(f"{prefix}/"): result for name, result in self._results.items()}
        # A caller's result is that of the jobs inside.
        for name, result in self._results.items():
            caller = name.rpartition("/")[0]
            if caller and own.get(caller, "success") == "success":
                own[caller] = result
        return own

    def _steps(self, job: Job, scope: Scope) -> tuple[list[Act], bool]:
        reached: list[Act] = []
        outcomes: dict[str, str] = {}
        well = True
        for index, step in enumerate(job.steps):
            lookup = _Lookup(scope, "steps", outcomes)
            runs = _holds(step.data.get("if"), lookup, succeeded=well, failed=not well)
            outcome = "skipped"
            if runs is not False:
                mine = self._by_step.get((job.id, index), [])
                fails = self._fails(mine, reached) or (runs and self._always_fails(mine))
                outcome = "failure" if fails else "success"
            outcomes[str(step.data.get("id", ""))] = outcome
            well = well and (outcome != "failure" or step.failure_ignored)
        return reached, well

    def _fails(self, mine: Sequence[Act], reached: list[Act]) -> bool:
        failing = next((act for act in mine if act is self._failing), None)
        if failing is None:
            reached += mine
            return False
        reached += [act for act in mine if act is failing or act.runs_without(failing)]
        return not failing.goes_on

    def _always_fails(self, mine: Sequence[Act]) -> bool:
        """A step that is only there to fail, when another has: `if: steps.scan.outcome == 'failure'`."""
        if self._failing is None or not mine or mine[0].command is None:
            return False
        return mine[0].command.trace[0].script.outcome.always_fails


class _Lookup:
    """A scope that knows the results of steps or of needed jobs."""

    def __init__(self, scope: Scope, name: str, results: Mapping[str, str]) -> None:
        self._scope = scope
        self._name = name
        self._results = results

    def __call__(self, path: tuple[str, ...]) -> Any:
        match path:
            case (name, key, "result" | "outcome" | "conclusion") if name.lower() == self._name:
                if key == "*":
                    return list(self._results.values())
                return self._results.get(key, UNKNOWN)
        return self._scope(path)


def _holds(value: Any, lookup: _Lookup, *, succeeded: bool, failed: bool) -> bool | None:
    """Whether a job or step runs: without a status function, `success()` is understood."""
    state = {"always": True, "success": succeeded, "failure": failed, "cancelled": False}

    def call(name: str, arguments: Sequence[Any]) -> Any:
        return state.get(name, UNKNOWN) if not arguments else UNKNOWN

    if not succeeded and not (isinstance(value, str) and has_status_function(value)):
        return False
    return condition(value, lookup, call)
