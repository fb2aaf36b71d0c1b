"""The hostile corpus: submissions that attack the machine, a mark, other candidates or who reads a report.

An attack is a file `fixtures/hostile/THEME/SLUG.yaml`, an edit of the reference solution:

    why         what it does, and why that must not work
    seen        where it was seen to work: an attack that fails everywhere would prove nothing
    tasks       what is graded (default: everything)
    before      path -> Python that is put before a program's own text; it can call `say` and `pwned`
    edits       as of a case of the corpus (`grader/corpus/cases.py`)
    setup       Python that makes what text cannot say. It is run with `submission`, the folder, and
                `outside`, a folder of the machine; `source` can be set to what is graded instead of the
                folder, `environment` holds variables of the grader
    changes     files that `setup` changes
    loses       criteria or tasks that must not be earned in full
    may_lose    criteria or tasks of which nothing is asked
    open_on     isolations on which it works (there it must be seen to work)
    skip_on     isolations on which it would do harm
    refused     the source must be refused, with exit status 2
    forbidden   patterns that must not be in the text report
    untouched   name -> mode of the files that must be in `outside` afterwards
    then        `reference`: the clean reference, graded next on the same cache, must lose nothing
    seconds     time for one grade (default 300)
    alone       it shares a grade with no other attack
    scheduled   it takes long or much memory: not on every change

Everything else must be earned in full.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import yaml

from grader.corpus.cases import Case, build
from grader.exam.bundled import REFERENCE_SOLUTION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FOLDER = Path(__file__).parents[2] / "fixtures/hostile"
READ_BY: Mapping[str, tuple[str, ...]] = {
    "Dockerfile.api": ("1.2", "B2"),
    "Dockerfile.train": ("1.2", "B2"),
    "Makefile": ("B2",),
    "alerts.yml": ("6.1",),
    "dvc.yaml": ("2.2",),
    "k8s/deployment.yaml": ("4.2", "B2"),
    "params.yaml": ("2.2", "3.1"),
    "src/api.py": ("4.1", "5.2"),
    "src/batch_score.py": ("B1",),
    "src/detect_drift.py": ("6.2",),
    "src/preprocess.py": ("2.2",),
    "src/query_best.py": ("3.2",),
    "src/register_model.py": ("3.3",),
    "src/train.py": ("2.2", "3.1"),
    ".gitignore": ("1.3",),
    ".github/workflows/ci-cd.yml": ("5.1",),
    ".pre-commit-config.yaml": ("1.1",),
    "tests/conftest.py": ("5.2",),
    "tests/test_api.py": ("5.2",),
}
"""File -> tasks that read it. What is not here, every task might read."""
PRELUDE = dedent("""\
    import os, sys
    def say(*words): print(*words, file=sys.stderr, flush=True)
    def pwned(*words): say("PWNED", *words)
    """)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """A hostile submission; the fields are explained above."""

    name: str
    why: str
    seen: str
    tasks: tuple[str, ...] = ()
    before: Mapping[str, str] = field(default_factory=dict)
    edits: tuple[Mapping[str, str], ...] = ()
    setup: str = ""
    changes: tuple[str, ...] = ()
    loses: tuple[str, ...] = ()
    may_lose: tuple[str, ...] = ()
    open_on: tuple[str, ...] = ()
    skip_on: tuple[str, ...] = ()
    refused: bool = False
    forbidden: tuple[str, ...] = ()
    untouched: Mapping[str, str] = field(default_factory=dict)
    then: str = ""
    seconds: int = 300
    alone: bool = False
    scheduled: bool = False

    @property
    def disturbs(self) -> frozenset[str]:
        """Tasks whose marks its edits may change; empty: any."""
        edited = (path for edit in self.edits for key in _PATHS if (path := edit.get(key)))
        changed = {*self.before, *self.changes, *edited}
        if not changed <= READ_BY.keys() or (self.setup and not self.changes):
            return frozenset()
        return frozenset(task for path in changed for task in READ_BY[path]) | set(self.tasks)

    @property
    def sociable(self) -> bool:
        """Whether other attacks can be tried in the same grade."""
        special = self.alone or self.refused or self.then or self.untouched or self.open_on or self.skip_on
        return not special and bool(self.tasks) and bool(self.disturbs)


_PATHS = ("file", "delete", "move", "to")


@cache
def load_attacks() -> tuple[Attack, ...]:
    """The whole corpus but the probes, in order of name."""
    return tuple(_read(path) for path in sorted(FOLDER.rglob("*.yaml")) if path.parent.name != "probes")


def _read(path: Path) -> Attack:
    data: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    for key in ("tasks", "changes", "edits", "loses", "may_lose", "open_on", "skip_on", "forbidden"):
        data[key] = tuple(each if key == "edits" else str(each) for each in data.get(key, ()))
    try:
        return Attack(name=path.relative_to(FOLDER).with_suffix("").as_posix(), **data)
    except TypeError as error:
        raise TypeError(f"{path}: {error}") from error


def arrange(attacks: Iterable[Attack]) -> list[tuple[Attack, ...]]:
    """Attacks that do not disturb each other share a grade: the first group that has room takes one."""
    groups: list[list[Attack]] = []
    for attack in attacks:
        room = (
            group for group in groups if attack.sociable and all(_apart(attack, other) for other in group)
        )
        if (group := next(room, None)) is not None:
            group.append(attack)
        else:
            groups.append([attack])
    return [tuple(group) for group in groups]


def _apart(one: Attack, other: Attack) -> bool:
    return other.sociable and not (one.disturbs & other.disturbs)


@dataclass(slots=True)
class Prepared:
    """What is graded, and how."""

    source: str
    environment: dict[str, str] = field(default_factory=dict)


def prepare(attacks: Sequence[Attack], submission: Path, outside: Path) -> Prepared:
    """Write the submission that makes these attacks."""
    edits = tuple(edit for attack in attacks for edit in attack.edits)
    build(Case(name=attacks[0].name, kind="hostile", base=REFERENCE_SOLUTION, edits=edits), submission)
    prepared = Prepared(str(submission))
    for attack in attacks:
        for name, code in attack.before.items():
            path = submission / name
            path.parent.mkdir(parents=True, exist_ok=True)
            own = path.read_text("utf-8") if path.exists() else ""
            path.write_text(f"{PRELUDE}{code}\n{own}", "utf-8")
        if attack.setup:
            _set_up(attack, submission, outside, prepared)
    return prepared


SETUP = """\
import io, json, os, shutil, subprocess, sys, tarfile, zipfile
from pathlib import Path

submission, outside, source, environment = Path(sys.argv[1]), Path(sys.argv[2]), "", {}
"""


def _set_up(attack: Attack, submission: Path, outside: Path, prepared: Prepared) -> None:
    code = f"{SETUP}{attack.setup}\nprint(json.dumps([str(source), environment]))\n"
    words = [sys.executable, "-B", "-c", code, str(submission), str(outside)]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(words, capture_output=True, text=True, cwd=outside, env=env, check=False)
    assert done.returncode == 0, f"{attack.name}: its setup failed: {done.stderr}"
    source, environment = json.loads(done.stdout.splitlines()[-1])
    prepared.source = source or prepared.source
    prepared.environment |= environment
