"""What a script comes to when one of its commands, `T`, fails."""

from __future__ import annotations

import time

import pytest

from grader.readers.shell.failure import Manner, Script, runs_after_failure
from grader.readers.shell.parser import Command, commands


def named(program: str, found: tuple[Command, ...]) -> Command:
    return next(command for command in found if command.program == program)


STOPS = """\
T
T; echo done
( T ); echo done
if ! T; then echo no; exit 1; fi
if T; then :; else exit 1; fi
if [ -f x ]; then T; fi
case $X in a) T;; *) echo;; esac
T && echo ok
T || { echo no; exit 1; }
T || exit $?
T || false
T || status=$?; exit $status
T | tee x
set +o pipefail; T | tee x; exit ${PIPESTATUS[0]}
set +e; T; status=$?; echo; exit $status
set +e; T; status=$?; if [ $status -ne 0 ]; then exit 1; fi
set +e; T; [ $? -eq 0 ] || exit 1
set +e; T; set -e; test $? -eq 1 && T
f() { T; }; f
for i in 1 2; do T; done
for i in 1 2; do T && break; done
until T; do sleep 1; done
while ! T; do sleep 1; done
T & wait $!
x=$(T)
bash -c T
bash -ec "T; echo"
exec T
trap 'echo bye' EXIT; T
"""
GOES_ON = """\
T || true
T || echo failed
T || exit 0
set +e; T; echo done
set +e; T; exit 0
(set +e; T; true)
if T; then echo ok; fi
if T; then echo ok; else echo no; fi
T && echo ok; echo done
! T
! T; echo done
set +o pipefail; T | tee x
T &
T & wait
f() { T; }; f || true
for i in 1 2; do T && break; done; echo done
{ T; } || true
x=$(T; echo)
echo $(T)
export X=$(T)
bash -c "T; echo"
eval "T || true"
"""


@pytest.mark.parametrize("script", STOPS.splitlines())
def test_the_script_fails(script: str) -> None:
    assert not named("T", commands(script)).failure_ignored


@pytest.mark.parametrize("script", GOES_ON.splitlines())
def test_the_script_ends_well(script: str) -> None:
    assert named("T", commands(script)).failure_ignored


@pytest.mark.parametrize(
    ("script", "runs"),
    [
        ("T; P", False),
        ("T && P", False),
        ("T && P; true", False),
        ("if T; then P; fi", False),
        ("if T; then ok=1; else ok=0; fi; if [ $ok = 1 ]; then P; fi", False),
        ("if T; then ok=true; else ok=false; fi; if $ok; then P; fi", False),
        ("T || exit 1; P", False),
        ("bash -c 'T && P'; true", False),
        ("set +e; T; P", True),
        ("set +e; T; status=$?; P; exit $status", True),
        ("T || P", True),
        ("if T; then echo; else P; fi", True),
        ("bash -c 'T; P'", True),
        ("P; T", True),
    ],
)
def test_what_runs_all_the_same(script: str, *, runs: bool) -> None:
    found = commands(script)
    assert runs_after_failure(named("P", found).trace, named("T", found).trace) is runs


@pytest.mark.parametrize(
    ("manner", "script", "ignored"),
    [
        (Manner(errexit=False), "T\necho", True),
        (Manner(errexit=False), "set -e\nT\necho", False),
        (Manner(pipefail=False), "T | tee x", True),
        (Manner(pipefail=False), "set -o pipefail\nT | tee x", False),
        (Manner(by_line=True), "T\necho", False),
        (Manner(by_line=True), "T; echo\necho", True),
        (Manner(by_line=True), "set +e\nT\necho", False),
        (Manner(checked=False), "T", True),
    ],
)
def test_how_it_is_run(manner: Manner, script: str, *, ignored: bool) -> None:
    assert named("T", commands(script, manner=manner)).failure_ignored is ignored


@pytest.mark.parametrize(
    ("script", "may_fail", "always_fails"),
    [
        ("exit 1", True, True),
        ("echo", False, False),
        ("if [ $count -gt 0 ]; then exit 1; fi", True, False),
        ("grep -q HIGH x && exit 1; echo", True, False),
        ("grep -q HIGH x && exit 1", True, True),  # its status is that of grep, where nothing is found
        ("! grep -q HIGH x", True, False),
        ("! grep -q HIGH x; echo", False, False),
        ("jq -e '.n == 0' x", True, False),
        ("jq .n x", False, False),
        ("grep HIGH x || true", False, False),
        ("set +e; grep HIGH x; echo", False, False),
        ("if [ $count -gt 0 ]; then echo; fi", False, False),
    ],
)
def test_how_it_may_end(script: str, *, may_fail: bool, always_fails: bool) -> None:
    outcome = Script(script).outcome
    assert (outcome.may_fail, outcome.always_fails) == (may_fail, always_fails)


@pytest.mark.parametrize(
    "script",
    [
        "if T; then " * 500,
        "( " * 500 + "T",
        "T && " * 5_000 + "T",
        "f() { f; f; }; f; T",
        "while true; do " * 30 + "T" + "; done" * 30,
        "if [ $a ]; then b=1; fi; " * 500 + "T",
        "case x in " * 100,
        "T | " * 2_000 + "T",
        ") } fi done esac ;; T",
        "for for for do do T",
    ],
)
def test_no_script_breaks_it_or_takes_long(script: str) -> None:
    started = time.monotonic()
    for command in [each for each in commands(script) if each.program == "T"][:3]:
        assert command.failure_ignored in (True, False)
    assert time.monotonic() - started < 10
