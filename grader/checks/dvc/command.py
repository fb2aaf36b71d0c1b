"""Run DVC in a cell as a candidate would, with the grader's settings on top of the candidate's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grader.check import Names, Scenario, Seconds
from grader.checks.dvc.config import configuration
from grader.checks.scripts.call import Called
from grader.errors import ToolMissing
from grader.readers.python.tracebacks import last_traceback
from grader.results import Finding
from grader.runtime.sandbox.limits import Limits
from grader.runtime.sandbox.model import Ended
from grader.runtime.sandbox.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.context import Context
    from grader.runtime.cell import Cell
    from grader.runtime.sandbox.model import Run

FOLDER = ".dvc"
_CONFIG = f"{FOLDER}/config"
_LOCAL = f"{FOLDER}/config.local"
_CACHE = "cache"
_KEYS = f"{FOLDER}/keys"
_OWN = f"{FOLDER}/tmp"  # noqa: S108  (DVC's own, as its locks are)
PUT_ASIDE = (f"{FOLDER}/{_CACHE}", _OWN, _LOCAL, ".gitignore", "*/.gitignore")
"""What would let DVC believe that work is done. It also passes over what git ignores: whatever an ignore
file hides wrongly is another task's loss."""

_IN_AN_EMPTY_FOLDER = 'cd "$(mktemp -d)" && dvc init --no-scm && dvc status'
_VERDICT = "\nERROR: failed to reproduce"


class Limited(Scenario):
    """What DVC needs to run, and its limits."""

    packages: Names
    """Packages that the environment must have; without them nothing is decided."""
    cpu_seconds: Seconds
    """CPU limit of one run, in seconds."""
    wall_seconds: Seconds
    """Wall-clock limit of one run, in seconds."""


class NoDvc(ToolMissing):
    """The environment has no working DVC: the candidate's lock file need not allow for it."""

    def __init__(self, reason: str) -> None:
        super().__init__("dvc")
        self.args = (reason,)


def require(context: Context, scenario: Limited) -> None:
    """Raise NoDvc if the environment lacks what DVC needs."""
    packages = context.require_runtime().environment.packages
    missing = [name for name in scenario.packages if name not in packages]
    if missing:
        raise NoDvc(f"{', '.join(missing)} cannot be installed next to the submission's locked packages")


def first(cell: Cell, scenario: Limited, *words: str) -> Called:
    """Run the first DVC command.

    Raises:
        NoDvc: it fails, and so does DVC where there is nothing of the candidate's.
    """
    called = dvc(cell, scenario, *words)
    if called.run.ended is Ended.EXITED and not called.run.ok:
        alive = cell.run(("sh", "-c", _IN_AN_EMPTY_FOLDER))
        if not alive.ok:
            raise NoDvc(f"DVC does not work with the submission's locked packages: {_complaint(alive)}")
    return called


def _complaint(run: Run) -> str:
    """The line that says what is wrong; DVC prints an offer to help after it."""
    errors = [line for line in plain(run.stderr).splitlines() if "error" in line.lower()]
    return errors[-1][:300] if errors else run.describe()


def dvc(cell: Cell, scenario: Limited, *words: str) -> Called:
    """Run a DVC command."""
    limits = Limits(cpu_seconds=scenario.cpu_seconds, wall_seconds=scenario.wall_seconds)
    keys = f"{cell.root}/{_KEYS}"
    environment = {
        "AWS_CONFIG_FILE": keys,
        "AWS_SHARED_CREDENTIALS_FILE": keys,
        "DVC_SITE_CACHE_DIR": f"{cell.root}/{_OWN}/site",
        # Bytecode beside a script would change a folder that a stage depends on.
        "PYTHONDONTWRITEBYTECODE": "1",
        # What DVC says before a stage must be there also if the stage never ends.
        "PYTHONUNBUFFERED": "1",
    }
    request = {"words": words, "environment": environment}
    run, _ = cell.probe("run_dvc", request, limits=limits, title=" ".join(("dvc", *words)))
    return described(words, run, (cell.root, str(cell.workspace)))


def described(words: tuple[str, ...], run: Run, roots: tuple[str, ...]) -> Called:
    """The run with what its stages said; DVC's own word on their failure would join a traceback's message."""
    stages, _, _ = run.stderr.partition(_VERDICT)
    return Called(argv=("dvc", *words), run=run, traceback=last_traceback(stages, roots))


def settings_files(
    context: Context, config: str, remote: str = "", settings: Mapping[str, Any] | None = None
) -> dict[str, bytes] | Finding:
    """The candidate's configuration, and a local one over it: everything here, the endpoint ours."""
    from configobj import ConfigObj, ConfigObjError

    source = context.submission.deliverable(config)
    readable = source is not None and not isinstance(configuration(context, file=config), Finding)
    sections: dict[str, dict[str, str]] = {
        "core": {"check_update": "false", "autostage": "false"},
        "cache": {"dir": _CACHE, "type": "copy"},
    }
    services = context.exam.services
    key, secret = services.access_key, services.secret_key
    if remote:
        # Also where `--remote` names another, DVC looks for the default.
        sections["core"]["remote"] = remote
        sections[f'remote "{remote}"'] = {
            "endpointurl": services.variables["AWS_ENDPOINT_URL"],
            "region": services.region,
            "access_key_id": key,
            "secret_access_key": secret,
            "allow_anonymous_login": "false",
            **({"profile": "default"} if "profile" in (settings or {}) else {}),
        }
    file = ConfigObj(sections)
    try:
        lines = file.write()
    except ConfigObjError as error:
        return Finding(message=f"the remote's name cannot be written: {error}", where=_CONFIG)
    return {
        _CONFIG: source.absolute.read_bytes() if source is not None and readable else b"",
        _LOCAL: "\n".join(lines).encode() + b"\n",
        _KEYS: f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n".encode(),
    }
