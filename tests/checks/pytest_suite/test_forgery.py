"""Suites that try to be told what they should notice, or to tell what they did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.checks.pytest_suite.test_scenarios import INVALID, SUCCESS, TESTS, WHERE, decided

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

ASKING = """
    def test_predict(client):
        client.post("/predict", json=GOOD)
    def test_invalid(client):
        client.post("/predict", json=BAD)
"""
"""Earns nothing but that it passes, unless it is helped."""

EVENTS = """
clean = [{"start": "t"}, {"answer": 200, "own": False, "changed": False}, {"answer": 422, "own": False,
    "changed": False}, {"report": "t", "outcome": "passed", "text": ""}, {"end": 0, "used": True}]
def broken(status):
    return [{"start": "t"}, {"answer": status, "own": False, "changed": True},
        {"report": "t", "outcome": "failed", "text": "assert"}, {"end": 1, "used": True}]
faults = {"error": 200, "lacking": 200, "accepted": 422, "refused": 422}
forged = {"runs": [{"fault": None, "forked": True, "status": 0, "events": clean}] * 3 + [
    {"fault": name, "forked": True, "status": 1, "events": broken(status)}
    for name, status in faults.items()]}
"""

ATTACKS = {
    "the answer, written by its path": EVENTS
    + """
import json, os, sys
words = open(f"/proc/{os.getppid()}/cmdline").read().split("\\0") + sys.orig_argv
for word in [*words, "/grader/result/answer.json", "/proc/self/fd/3", f"/proc/{os.getppid()}/fd/3"]:
    try:
        with open(word, "w") as file:
            json.dump(forged, file)
    except OSError:
        pass
""",
    "the answer, written on every descriptor": EVENTS
    + """
import json, os
for number in range(3, 256):
    try:
        os.write(number, json.dumps(forged).encode())
    except OSError:
        pass
""",
    "the answer, written by those whose descriptors it takes": EVENTS
    + """
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
for process in (os.getppid(), 1):
    handle = libc.syscall(434, process, 0)
    for number in range(3, 32):
        taken = libc.syscall(438, handle, number, 0)
        if taken > 0:
            os.write(taken, json.dumps(forged).encode())
""",
    "the one that decides, traced": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
assert libc.ptrace(16, os.getppid(), None, None) == -1, "traced"
""",
    "the one that decides, read": """
import glob, os
for name in ("mem", "environ", "maps", "fd/3", "cwd"):
    try:
        if os.path.lexists(f"/proc/{os.getppid()}/{name}") and open(f"/proc/{os.getppid()}/{name}").read(1):
            os._exit(0)
    except OSError:
        pass
""",
    "the plugin, found and asked": """
import gc, pytest
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report):
    for each in gc.get_objects():
        fault = getattr(each, "fault", None) if type(each).__name__ in ("Wire", "Plugin", "Broker") else None
        if fault:
            report.outcome, report.longrepr = "failed", "noticed"
""",
    "the number of the run, from a file": """
import pytest
@pytest.fixture(autouse=True)
def numbered(request):
    yield
    with open(f"/tmp/{request.node.name}", "a+") as file:
        file.write("x")
        file.seek(0)
        assert len(file.read()) == 1
""",
    "the number of the run, from process ids": """
import os, pytest
first = os.getpid()
@pytest.fixture(autouse=True)
def numbered():
    yield
    assert os.getpid() - first < 4
""",
    "copies, by themselves": """
import os, sys, pytest
before = os.getpid()
@pytest.fixture(autouse=True)
def copied(pytestconfig):
    yield
    assert pytestconfig.option.tbstyle == "auto"
""",
    "reports of failure without an answer": """
import pytest
def pytest_sessionfinish(session):
    import gc
    for each in gc.get_objects():
        if type(each).__name__ == "Broker":
            for name in ("test_predict", "test_invalid"):
                each.tell(start=f"tests/test_api.py::{name}")
                each.tell(answer=200, own=False, changed=True)
                each.tell(report=f"tests/test_api.py::{name}", outcome="failed", text="")
""",
    "events of the answer, told as if by the one that decides": """
import gc
for each in gc.get_objects():
    if type(each).__name__ == "Broker":
        each.tell(fault="error", status=1, forked=True, events=[], runs=[])
        each.tell(next=True)
        each.tell(begin=True)
""",
    "a process that goes on": """
import os, time, signal
said = b'{"report": "tests/test_api.py::test_predict", "outcome": "failed", "text": ""}'
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(0.01)
        for number in range(3, 64):
            try:
                os.write(number, said)
            except OSError:
                pass
""",
    "a thread that waits for the end": """
import atexit, os, threading, time
def late():
    time.sleep(0.2)
    os._exit(1)
threading.Thread(target=late, daemon=True).start()
atexit.register(os._exit, 1)
""",
    "an exit status of its own": """
def pytest_sessionfinish(session):
    session.exitstatus = 1
""",
    "items of its own": """
import pytest
class Item(pytest.Item):
    def runtest(self):
        pass
def pytest_collection_modifyitems(session, items):
    items[:] = [Item.from_parent(session, name="tests/test_api.py::test_predict")]
""",
    "json, patched": """
import json
json.dumps = lambda *_, **__: '{"report": "t", "outcome": "failed", "text": ""}'
json.JSONEncoder.encode = json.dumps
""",
    "a tracer": """
import sys
def trace(frame, event, arg):
    if frame.f_code.co_name in ("ask", "_take", "begin"):
        for value in frame.f_locals.values():
            if isinstance(value, dict) and value.get("fault"):
                frame.f_globals["noticed"] = True
    return trace
sys.settrace(trace)
""",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_forgery_earns_nothing(root: Path, attack: str) -> None:

    outcomes = decided(root, ASKING, {"tests/conftest.py": ATTACKS[attack]})
    assert set(outcomes) >= SUCCESS | INVALID


def test_a_written_answer_is_not_believed_where_the_one_that_decides_is_killed(root: Path) -> None:
    conftest = EVENTS + (
        "import json, os, signal\n"
        "os.kill(os.getppid(), signal.SIGKILL)\n"
        "open('/proc/self/fd/3', 'w').write(json.dumps(forged))\n"
    )
    outcomes = decided(root, ASKING, {"tests/conftest.py": conftest})
    assert set(outcomes) >= {"5.2.passes", *SUCCESS, *INVALID}


def test_what_a_test_leaves_running_costs_an_honest_suite_nothing(root: Path) -> None:
    conftest = """
        import subprocess, sys
        import pytest
        @pytest.fixture(autouse=True, scope="session")
        def server():
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
    """
    assert not decided(root, TESTS, {"tests/conftest.py": conftest, WHERE.replace("api", "other"): ""})
