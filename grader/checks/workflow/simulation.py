"""What a workflow comes to when something in it fails: which acts still run, and which wait for which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grader.checks.workflow.expressions import UNKNOWN, condition, has_status_function
from grader.checks.workflow.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grader.checks.workflow.actions import Act
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


def run(workflow: Workflow, done: Sequence[Act], branch: str, failing: Act | None = None) -> frozenset[Act]:
    """The acts that run, or may run, on a push to a branch, when one of them fails."""
    return _Simulation(workflow, done, branch, failing).acts()


class _Simulation:
    def __init__(self, workflow: Workflow, done: Sequence[Act], branch: str, failing: Act | None) -> None:
        self._workflow = workflow
        self._branch = branch
        self._failing = failing
        self._results: dict[str, str] = {}
        self._by_step: dict[tuple[str, int], list[Act]] = {}
        for act in done:
            self._by_step.setdefault((act.job.id, act.position[0]), []).append(act)

    def acts(self) -> frozenset[Act]:
        reached: list[Act] = []
        waiting = dict(self._workflow.jobs)
        while waiting:
            ready = [job for job in waiting.values() if not any(need in waiting for need in job.needs)]
            if not ready:
                break  # the rest need one another in a circle
            for job in ready:
                del waiting[job.id]
                reached += self._job(job)
        return frozenset(reached)

    def _job(self, job: Job) -> list[Act]:
        before = [self._results.get(name, "skipped") for name in ancestors(self._workflow, job.id)]
        succeeded = all(result == "success" for result in before)
        failed = "failure" in before
        conditions: Sequence[Any] = job.conditions or (None,)
        scope = Scope(job.environment, branch=self._branch)
        lookup = _Lookup(scope, "needs", self._of_needs(job))
        if any(_holds(each, lookup, succeeded=succeeded, failed=failed) is False for each in conditions):
            self._results[job.id] = "skipped"
            return []
        reached, well = self._steps(job, scope)
        self._results[job.id] = "success" if well or job.forgiven else "failure"
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
            runs = _holds(step.data.get("if"), lookup, succeeded=well, failed=not well) is not False
            outcome = "skipped"
            if runs:
                mine = self._by_step.get((job.id, index), [])
                outcome = "failure" if self._fails(mine, reached) else "success"
            outcomes[str(step.data.get("id", ""))] = outcome
            well = well and (outcome != "failure" or step.forgiven)
        return reached, well

    def _fails(self, mine: Sequence[Act], reached: list[Act]) -> bool:
        for act in mine:
            reached.append(act)
            if act is self._failing and not act.forgiven:
                return True
        return False


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
