"""What gives away where work comes from: ids of runs, hashes of outputs, addresses, home folders.

Each pattern matches a bounded piece of text from a fixed start: what it costs grows with the length alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from grader.cohort.similarity.model import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TRACES = 2_000
"""Of one submission."""

_HEX = rb"[0-9a-f]{32}(?![0-9a-f])"
_RUN = re.compile(
    rb"(?:runs:/|mlruns/\d{1,20}/|mlflow-artifacts:/\d{1,20}/|\brun[_-]?(?:uu)?id\b[\"'\s:=]{1,6})("
    + _HEX
    + rb")"
)
_RUN_ARTIFACTS = re.compile(rb"/(" + _HEX + rb")/artifacts\b")
"""As it is in a tracking server's SQLite file, too."""
_OUTPUT = re.compile(rb"\bmd5:\s{1,4}([0-9a-f]{32}(?:\.dir)?)(?![0-9a-f])")
_OUTPUTS = re.compile(rb"^[ \t]*(?:- )?(outs|deps|params|cmd|wdir):", re.MULTILINE)
_EMAIL = re.compile(
    rb"(?<![\w.+@-])([A-Za-z0-9][\w.+-]{0,63})@((?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24})(?![\w-])"
)
_HOME = re.compile(
    rb"(?:(?<![\w.-])/(?:home|Users)/|(?i:\b[c-z]:[\\/]{1,4}users[\\/]{1,4}))([\w.-]{1,64})(?=[\\/\"'\s:)]|$)"
)

_NOBODY = frozenset(
    [
        "noreply",
        "no-reply",
        "donotreply",
        "git",
        "user",
        "you",
        "your.email",
        "your-email",
        "your_email",
        "youremail",
        "email",
        "mail",
        "name",
        "someone",
        "test",
        "admin",
        "info",
        "support",
        "hello",
        "contact",
        "me",
        "actions",
        "github-actions",
        "dependabot",
        "bot",
        "ci",
        "example",
        "team",
    ]
)
_NOWHERE = re.compile(
    r"(?:.*\.)?(?:example\.\w+|test|invalid|localhost|local|your-?(?:company|domain|org)\.\w+|domain\.com|email\.com"
    r"|company\.com)"
)
_ACCOUNTS = frozenset(
    [
        "user",
        "username",
        "users",
        "you",
        "yourname",
        "your-name",
        "your_name",
        "name",
        "me",
        "app",
        "appuser",
        "app-user",
        "root",
        "runner",
        "ubuntu",
        "debian",
        "jovyan",
        "vscode",
        "codespace",
        "node",
        "python",
        "mlflow",
        "airflow",
        "nonroot",
        "public",
        "default",
        "shared",
        "circleci",
        "vagrant",
        "ec2-user",
        "coder",
        "student",
        "candidate",
        "test",
        "dev",
        "admin",
        "docker",
        "git",
        "builder",
        "somebody",
        "someone",
    ]
)
"""Accounts that say nothing of who has one."""


def traces_in(path: str, content: bytes) -> Iterator[tuple[Trace, str]]:
    """The traces in one file, as they come."""
    for pattern in (_RUN, _RUN_ARTIFACTS):
        for match in pattern.finditer(content):
            yield Trace.RUN, match[1].decode("ascii")
    if path.endswith((".dvc", "dvc.lock")):
        yield from _outputs(content)
    for match in _EMAIL.finditer(content):
        if address := email(f"{match[1].decode('utf-8', 'replace')}@{match[2].decode('ascii', 'replace')}"):
            yield Trace.EMAIL, address
    for match in _HOME.finditer(content):
        if account := login(match[1].decode("utf-8", "replace")):
            yield Trace.HOME, account


def traces_in_path(path: str) -> Iterator[tuple[Trace, str]]:
    """Ids of runs of which a file's path tells."""
    for match in re.finditer(rb"(?:^|/)mlruns/\d{1,20}/(" + _HEX + rb")/", path.encode("utf-8", "replace")):
        yield Trace.RUN, match[1].decode("ascii")


def _outputs(content: bytes) -> Iterator[tuple[Trace, str]]:
    """Hashes of what a stage makes or a `.dvc` file names: not those of what a stage reads."""
    inside, place = b"outs", 0
    for match in _OUTPUTS.finditer(content):
        if inside == b"outs":
            yield from _hashes(content[place : match.start()])
        inside, place = match[1], match.start()
    if inside == b"outs":
        yield from _hashes(content[place:])


def _hashes(content: bytes) -> Iterator[tuple[Trace, str]]:
    for match in _OUTPUT.finditer(content):
        yield Trace.OUTPUT, match[1].decode("ascii")


def email(address: str) -> str:
    """The address in one spelling; empty if it is nobody's."""
    address = address.strip().lower()
    account, _, host = address.partition("@")
    if not host or account in _NOBODY or "bot" in account or "noreply" in account or _NOWHERE.fullmatch(host):
        return ""
    return address


def login(account: str) -> str:
    """The name of an account in one spelling; empty if it says nothing."""
    account = account.strip().lower().rstrip(".")
    return "" if account in _ACCOUNTS or len(account) < 2 else account
