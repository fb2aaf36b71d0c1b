"""The suite's side of `pytest_faults.py`: pytest with a plugin, in the process of the candidate's code.

What it says can be forged by the suite, and decides nothing by itself. It does not know which fault is on: it
asks, answer by answer.
"""

import _socket
import array
import gc
import importlib.util
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from json import dumps, loads  # (a test may patch the module)
from pathlib import Path
from typing import Any

import changed_answers  # type: ignore[import-not-found]  # (beside this file)
import pytest

MAX_TEXT = 4000
MAX_REPLY = 2**16


class Broker:
    """The process that decides. Sockets of C, since tests may forbid those of Python.

    Each question brings a socket of its own for the reply, so that threads and processes may ask at once.
    """

    def __init__(self, descriptor: int) -> None:
        self._connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, descriptor)

    def tell(self, **event: Any) -> None:
        """One event."""
        with suppress(OSError):  # closed by the suite: what it does not say is not known
            self._connection.send(dumps(event).encode())

    def ask(self, **question: Any) -> dict[str, Any]:
        """The reply; nothing where there is none."""
        try:
            ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
            try:
                rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))
                self._connection.sendmsg([dumps(question).encode()], [rights])
                theirs.close()
                told = loads(ours.recv(MAX_REPLY) or b"{}")
            finally:
                ours.close()
                theirs.close()
        except OSError:
            return {}
        return told if isinstance(told, dict) else {}


# --- pytest ---------------------------------------------------------------------------------------


class Plugin:
    """Sees what pytest does, and makes it do it several times over."""

    def __init__(self, broker: Broker, request: dict[str, Any]) -> None:
        self.broker, self.alone = broker, "choose" in request
        self.wire = changed_answers.Wire(request, broker.ask)
        self.raised: dict[tuple[str, str], str] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self) -> None:
        """Before anything of the suite is imported."""
        self.wire.cut_in()

    def pytest_collectreport(self, report: Any) -> None:
        """What could not be collected."""
        if report.outcome == "failed":
            self.broker.tell(error=tail(report.longreprtext))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool | None:
        """Run the tests here (None), or in copies of this process (and then no more here)."""
        if self.alone or session.testsfailed or not session.items or not self.can_fork():
            return None
        if reporter := session.config.pluginmanager.get_plugin("terminalreporter"):
            reporter.flush()
        before = state()
        gc.freeze()  # every copy looks for garbage at its end
        while (told := self.broker.ask(next=True)).get("go") and state() == before:
            child = fork()
            if child:
                os.waitpid(child, 0)
            elif fork():
                os._exit(0)  # who decides is the copy's parent then, and knows its end
            else:
                self.broker.ask(begin=True)
                if told["brief"]:
                    session.config.option.tbstyle = "value"  # nobody reads why a test noticed
                return None
        os._exit(0)

    def can_fork(self) -> bool:
        """Whether a copy would be as good as this process."""
        return threading.active_count() == 1 and not self.wire.answered

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self.broker.tell(start=nodeid[:MAX_TEXT])

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
            self.broker.tell(report=report.nodeid[:MAX_TEXT], outcome=outcome, text=tail(text))

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
    return text[-MAX_TEXT:]


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


def main(request: dict[str, Any], descriptor: int) -> None:
    """Be `python -m pytest`; never returns."""
    status = 1
    try:
        for name in ("pytest_runs", changed_answers.__name__):  # a candidate may have modules of these names
            sys.modules.pop(name, None)
        here = Path.cwd()
        # Not `sys.path[0]`, which is where this file is: a probe is nothing that a suite could import.
        sys.path[0] = str(here)
        sys.path[1:1] = [str(here / path) for path in request["paths"]]
        args = [*request["args"], *options()]
        sys.argv[:] = ["pytest", *args]
        broker = Broker(descriptor)
        plugin = Plugin(broker, request)
        expect_imports()
        status = int(pytest.main(args, plugins=[plugin]))
        broker.tell(end=status, used=plugin.used())
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


if __name__ == "__main__":
    main(loads(sys.argv[1]), int(sys.argv[2]))
