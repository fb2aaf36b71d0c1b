"""Run a suite with pytest, and again while an application's answers are changed on their way to the tests.

Nothing of the candidate is edited, reloaded or run twice in one process. The suite is collected once; then
each run goes on in a forked copy, as fresh as the first. Where a copy could differ from the first (threads,
requests made while collecting, files left behind), only the first run is made: ask again, run by run.

Request: {args: [...], paths: [...], own: [...], method, path, clean: name, only?: name, idle_seconds,
          faults: {name: {answered, status, body?, drop?}}}
  own: the suite's own files: an application that is defined there is none of the submission
  only: make this run alone, in a process of its own
Answer: {runs: {name: [event, ...]}}, each event being one of
  {forked: true} {error: text} {start: test} {report: test, outcome, text}
  {answer: status, own, changed} {end: status, used}

The suite shares its process with all this and could forge it, so it is evidence, not truth. What is cheap to
forge is not believed: without an `end` pytest did not get there, and a report that says "passed" of a test
that raised is turned back.
"""

import gc
import importlib.util
import json
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from changed_answers import Wire  # type: ignore[import-not-found]  # (beside this file)

MOST_TEXT = 4000
MOST_EVENTS = 20_000
POLL_SECONDS = 0.02


class Log:
    """Events of one run, written as they happen, so that a run that dies leaves what it saw."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._descriptor = -1

    def open(self, name: str) -> None:
        """Go on with the events of another run."""
        self._descriptor = os.open(self.directory / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def tell(self, **event: Any) -> None:
        """One event."""
        if self._descriptor >= 0:
            os.write(self._descriptor, json.dumps(event).encode() + b"\n")

    def read(self, name: str) -> list[dict[str, Any]]:
        """The events of a run so far; a line that was not written to its end is left out."""
        try:
            with (self.directory / name).open(encoding="utf-8", errors="replace") as file:
                return list(events(file.read().splitlines()[:MOST_EVENTS]))
        except OSError:
            return []

    def size(self) -> int:
        """Of all events: it grows as long as anything moves."""
        return sum(path.stat().st_size for path in self.directory.iterdir())


def events(lines: list[str]) -> Iterator[dict[str, Any]]:
    """Lines that are JSON objects."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


# --- pytest ---------------------------------------------------------------------------------------


class Plugin:
    """Sees what pytest does, and makes it do it several times over."""

    def __init__(self, request: dict[str, Any], log: Log) -> None:
        self.request, self.log = request, log
        self.wire = Wire(request, log.tell)
        self.raised: dict[tuple[str, str], str] = {}
        self.name = request.get("only") or request["clean"]
        self.become(self.name)

    def become(self, name: str) -> None:
        """This process is that run from now on."""
        self.name = name
        self.wire.fault = self.request["faults"].get(name)
        self.log.open(name)

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self) -> None:
        """Before anything of the suite is imported."""
        self.wire.cut_in()

    def pytest_collectreport(self, report: Any) -> None:
        """What could not be collected."""
        if report.outcome == "failed":
            self.log.tell(error=tail(report.longreprtext))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool | None:
        """Run the tests here (None), or in copies of this process (and then no more here)."""
        alone = self.request.get("only") or session.testsfailed or not session.items
        if alone or not self.can_fork():
            return None
        self.log.tell(forked=True)
        if reporter := session.config.pluginmanager.get_plugin("terminalreporter"):
            reporter.flush()
        before = state()
        gc.freeze()  # every copy looks for garbage at its end
        for name in (self.request["clean"], *self.request["faults"]):
            if not self.worth_while(name):
                continue
            child = fork()
            if child == 0:
                self.become(name)
                if self.wire.fault is not None:
                    session.config.option.tbstyle = "value"  # nobody reads why a test noticed
                return None
            os.waitpid(child, 0)
            if state() != before:
                break
        os._exit(0)

    def can_fork(self) -> bool:
        """Whether a copy would be as good as this process."""
        asked = any("answer" in event for event in self.log.read(self.name))
        return threading.active_count() == 1 and not asked

    def worth_while(self, name: str) -> bool:
        """Whether a run can show anything: the clean one must have had an answer that would be changed."""
        fault = self.request["faults"].get(name)
        if fault is None:
            return True
        seen = self.log.read(self.request["clean"])
        return any("end" in event for event in seen) and any(
            event.get("answer") == fault["answered"] and not event["own"] for event in seen
        )

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self.log.tell(start=nodeid)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Iterator[None]:
        """What was raised, whatever is made of it later."""
        yield
        self.raised[item.nodeid, call.when] = "" if call.excinfo is None else call.excinfo.typename

    def pytest_runtest_logreport(self, report: Any) -> None:
        """What is made of it."""
        outcome = "x" * hasattr(report, "wasxfail") + report.outcome
        raised = self.raised.get((report.nodeid, report.when))
        text = report.longreprtext
        if raised and outcome == "passed":
            outcome, text = "failed", f"a hook calls it passed although it raised {raised}"
        if outcome != "passed" or report.when == "call":
            self.log.tell(report=report.nodeid, outcome=outcome, text=tail(text))

    def used(self) -> bool:
        """Whether the suite had anything to do with the rest of the submission."""
        here = os.path.realpath(os.curdir) + os.sep
        files = {os.path.realpath(getattr(each, "__file__", None) or "") for each in [*sys.modules.values()]}
        return self.wire.reached or any(
            path.startswith(here)
            and path not in self.wire.own
            and not path.endswith("__init__.py")
            and "site-packages" not in path
            for path in files
        )


def tail(text: str) -> str:
    """The end, which says most."""
    return text[-MOST_TEXT:]


def fork() -> int:
    """Like `os.fork`, less its warning of threads: numerical libraries have some that bear it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return os.fork()


def state() -> dict[str, tuple[int, int]]:
    """The files of the workspace, to see whether a run left any behind."""
    found = {}
    for directory, folders, names in os.walk("."):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            path = Path(directory, name)
            status = path.lstat()
            found[str(path)] = (status.st_mtime_ns, status.st_size)
    return found


def run_pytest(request: dict[str, Any], log: Log) -> None:
    """Be `python -m pytest`; never returns."""
    status = 1
    try:
        here = Path.cwd()
        # Not `sys.path[0]`, which is where this file is: a probe is nothing that a suite could import.
        sys.path[0] = str(here)
        sys.path[1:1] = [str(here / path) for path in request["paths"]]
        args = [*request["args"], *options()]
        sys.argv[:] = ["pytest", *args]
        plugin = Plugin(request, log)
        expect_imports()
        status = int(pytest.main(args, plugins=[plugin]))
        log.tell(end=status, used=plugin.used())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def expect_imports() -> None:
    """Pytest warns of plugins that were imported before it; here that is not the suite's doing."""
    from _pytest.assertion.rewrite import AssertionRewritingHook

    AssertionRewritingHook._warn_already_imported = lambda *_: None  # type: ignore[assignment, unused-ignore]


def options() -> Iterator[str]:
    """What makes no difference to the tests but to how they are run."""
    yield from ("--maxfail=0", "-o", f"cache_dir={tempfile.mkdtemp()}")
    if importlib.util.find_spec("pytest_cov"):
        yield "--no-cov"  # a floor for the coverage of all the tests says nothing about these
    if importlib.util.find_spec("xdist"):
        yield from ("-n", "0")  # workers would not have this plugin


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Watch over all that runs: whatever shows no sign of life for too long is ended."""
    log = Log(Path(tempfile.mkdtemp()))
    child = os.fork()
    if child == 0:
        os.setsid()
        run_pytest(request, log)
    size, moved = -1, time.monotonic()
    while not os.waitpid(child, os.WNOHANG)[0]:
        if (now := log.size()) != size:
            size, moved = now, time.monotonic()
        elif time.monotonic() - moved > request["idle_seconds"]:
            os.killpg(child, signal.SIGKILL)
        time.sleep(POLL_SECONDS)
    return {"runs": {path.name: log.read(path.name) for path in log.directory.iterdir()}}


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    told = main(asked)
    Path(sys.argv[2]).write_text(json.dumps(told), encoding="utf-8")
