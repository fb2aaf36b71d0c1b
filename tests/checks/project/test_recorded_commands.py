from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from grader.checks.project.recorded_commands import recorded
from grader.results import Finding, Verdict, failed, passed
from tests.builders import decide, make_context

if TYPE_CHECKING:
    from pathlib import Path

ALL = {
    "init": ("dvc init", []),
    "remote": ("dvc remote add", []),
    "add": ("dvc add", ["data/train.csv"]),
    "push": ("dvc push", []),
}


def found(root: Path, files: dict[str, str | bytes], **deliverables: str) -> set[str]:
    context = make_context(root, files, deliverables=deliverables)
    return {
        name
        for name, (command, arguments) in ALL.items()
        if decide(recorded, context, file="dvc_commands", command=command, arguments=arguments).verdict
        is Verdict.PASSED
    }


PLAIN = "dvc init\ndvc remote add -d storage s3://b/p\ndvc add data/train.csv\ngit add .\ndvc push\n"
EVERYTHING = {
    "script": {"setup.sh": "#!/bin/sh\nset -e\n" + PLAIN},
    "task runner": {
        "NOTES.md": "Once:\n\n```bash\njust storage\n```\n",
        "justfile": "storage: tracked\n    dvc push\ntracked:\n    dvc init\n    dvc remote add s s3://b/p\n"
        "    dvc add data/train.csv\n",
    },
    "one line": {
        "s.sh": "dvc init && dvc remote add --default s s3://b/p; dvc add data/train.csv || exit 1\ndvc push"
    },
    "branches": {
        "s.sh": "if [ ! -d .dvc ]; then dvc init; fi\n(dvc remote add s s3://b/p)\n"
        "{ dvc add data/train.csv; }\n"
        "until dvc push; do sleep 1; done\n"
    },
    "runners": {
        "s.sh": "poetry run dvc init\nuv run dvc remote add s s3://b/p\npython3 -m dvc add data/train.csv\n"
        ".venv/bin/dvc push -r s\n"
    },
    "continued": {
        "s.sh": "dvc \\\n  init -q\ndvc remote \\\n  add s s3://b/p\n"
        "dvc add \\\n  data/train.csv\ndvc push -v"
    },
    "variables": {
        "s.sh": 'DATA=data/train.csv\nURL="s3://b/p"\ndvc init --no-scm\ndvc remote add s "$URL"\n'
        'dvc add "${DATA}"\ndvc push\n'
    },
    "folders": {
        "s.sh": 'cd "$(dirname "$0")/.."\ndvc init\ndvc remote add s s3://b/p\ncd data\ndvc add train.csv\n'
        "cd ..\ndvc push\n"
    },
    "glob": {"s.sh": PLAIN.replace("data/train.csv", "./data/*.csv")},
    "no extension": {"bin/setup": "#!/usr/bin/env bash\n" + PLAIN},
    "fenced": {"README.md": f"# Data\n\n```bash\n# what I did\n{PLAIN}```\n"},
    "fenced without a language": {"docs/dvc.md": f"~~~\n{PLAIN}~~~\n"},
    "fenced in a list": {"README.md": "1. first\n\n   ```sh\n   " + PLAIN.replace("\n", "\n   ") + "```\n"},
    "prompts": {
        "README.md": "```console\n$ dvc init\nInitialized DVC repository, don't worry.\n"
        "(venv) $ dvc remote add -d s \\\n>    s3://b/p\n"
        "jo@host:~/exam$ dvc add data/train.csv\n$ dvc push\n1 file\n```\n"
    },
    "notes": {
        "commands.txt": "Commands used:\n\n1. dvc init\n2) $ dvc remote add s s3://b/p\n"
        "- dvc add data/train.csv\ndvc push\n"
    },
    "history": {
        "log.txt": " 1  dvc init\n 2  dvc remote add s s3://b/p\n 3  dvc add data/train.csv\n 4*  dvc push\n"
    },
    "inline code": {
        "NOTES.md": "First `dvc init`, then `dvc remote add s s3://b/p`. The CSV is not in git:\n"
        "`dvc add data/train.csv`. Finally I ran `$ dvc push`.\n"
    },
    "indented code": {"README.md": "Commands:\n\n    " + PLAIN.replace("\n", "\n    ")},
    "Makefile": {
        "Makefile": "DATA := data/train.csv\n"
        "setup:\n\t@dvc init\n\t-dvc remote add s \\\n\t\ts3://b/p\n\tdvc add $(DATA)\n"
        "push: ; dvc push\n"
    },
    "Python": {
        "setup_dvc.py": "import os, subprocess\nsubprocess.run(['dvc', 'init'], check=True)\n"
        "os.system('dvc remote add s s3://b/p')\n"
        "for c in [['dvc', 'add', 'data/train.csv'], ['dvc', 'push']]:\n"
        "    subprocess.run(c)\n"
    },
    "Python's constants": {
        "setup_dvc.py": "import os, shlex, subprocess, sys\nURL = 's3://b/p'\nDATA = 'data/train.csv'\n"
        "subprocess.run(['dvc', 'remote', 'add', '-d', 's', URL])\n"
        "os.system(f'dvc init {sys.argv[1]}')\n"
        "def run(line): subprocess.run(shlex.split(line), check=True)\nrun(f'dvc add {DATA}')\n"
        "subprocess.check_call('dvc push'.split())\n"
    },
    "notebook": {
        "dvc.ipynb": json.dumps(
            {
                "cells": [
                    {"cell_type": "code", "source": ["!dvc init\n", "!dvc remote add s s3://b/p\n"]},
                    {"cell_type": "code", "source": "%%bash\ndvc add data/train.csv\n"},
                    {"cell_type": "markdown", "source": ["```\n", "dvc push\n", "```"]},
                ]
            }
        )
    },
    "several files": {
        "a.sh": "dvc init\ndvc push",
        "b.md": "`dvc remote add s u`",
        "c.txt": "dvc add data/train.csv",
    },
    "CRLF": {"s.sh": PLAIN.replace("\n", "\r\n").encode()},
}


@pytest.mark.parametrize("files", EVERYTHING.values(), ids=EVERYTHING)
def test_recorded(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    assert found(tmp_path, files) == set(ALL)


NOTHING = {
    "no files": {},
    "comments": {"s.sh": "# " + PLAIN.replace("\n", "\n# ")},
    "echo": {"s.sh": "".join(f"echo '{line}'\n" for line in PLAIN.splitlines())},
    "heredoc": {"s.sh": f"cat > notes <<'EOF'\n{PLAIN}EOF\n"},
    "a message": {"s.sh": f'git commit -m "{PLAIN}"\n'},
    "another program": {"s.sh": PLAIN.replace("dvc ", "dvcx ")},
    "help": {"s.sh": "dvc init --help\ndvc push -h\ndvc add data/train.csv --help\ndvc remote add --help"},
    "advised against": {
        "README.md": "Never run `dvc init` again. Do not `dvc push` by hand, and don't\n"
        "`dvc add data/train.csv`.\n"
        "TODO: `dvc remote add s u`\n"
    },
    "not done": {"notes.txt": "dvc init was not needed\ndvc push: I didn't get that far\n"},
    "prose": {"README.md": "Data are versioned with DVC. Use dvc to push them; the remote is on S3.\n"},
    "a Python block": {"README.md": f"```python\n{PLAIN}```\n"},
    "an HTML comment": {"README.md": f"<!--\n```\n{PLAIN}```\n-->\n"},
    "a Makefile's comments": {"Makefile": "all:\n\t# dvc init\n# dvc push\n\t@echo dvc add data/train.csv\n"},
    "Python strings": {"x.py": "raise RuntimeError('dvc push')\nprint('dvc init')\n"},
    "numbers in prose": {"x.md": "1 dvc init\n2 dvc push commands were used.\n"},
    "data": {"x.csv": PLAIN, "x.json": PLAIN},
    "binary": {"s.sh": b"\xff\xfe" + PLAIN.encode(), "x.md": b"\x00\x80"},
    "broken notebook": {"a.ipynb": "[1]", "b.ipynb": "{", "c.ipynb": '{"cells": [1, {"source": 3}]}'},
    "broken Python": {"x.py": "subprocess.run(['dvc', 'init'"},
    "Python lists of other programs": {"x.py": "run(['echo', 'dvc', 'init'])\nx = [name, 'dvc', 'push']\n"},
    "output under a prompt": {"README.md": "```\n$ ls\ndvc init\n```\n"},
}


@pytest.mark.parametrize("files", NOTHING.values(), ids=NOTHING)
def test_not_recorded(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    assert found(tmp_path, files) == set()


@pytest.mark.parametrize(
    "line", ["dvc add data", "dvc add data/raw/train.csv", "dvc add train.csv", "dvc add"]
)
def test_another_file_was_added(tmp_path: Path, line: str) -> None:
    assert found(tmp_path, {"s.sh": line}) == set()


def test_the_finding_says_what_is_there_instead(tmp_path: Path) -> None:
    context = make_context(tmp_path, {"s.sh": "dvc add data/raw"})
    outcome = decide(recorded, context, file="dvc_commands", command="dvc add", arguments=["data/train.csv"])
    assert outcome == failed(
        Finding(
            message="dvc add is recorded, but not with data/train.csv",
            expected="dvc add data/train.csv",
            actual="dvc add data/raw",
        )
    )


def test_a_manifest_may_name_any_file(tmp_path: Path) -> None:
    assert found(tmp_path, {"what-i-did.log": PLAIN}, dvc_commands="what-i-did.log") == set(ALL)
    context = make_context(tmp_path / "b", {"s.sh": "dvc init"}, deliverables={"dvc_commands": "s.sh"})
    assert decide(recorded, context, file="dvc_commands", command="dvc init") == passed()


def test_comments_that_never_end_are_read_once(root: Path) -> None:
    """Looking for each end anew would take minutes, in which nothing else could be stopped."""
    assert found(root, {"notes.md": "    dvc push\n\n" + "<!--" * 500_000}) == {"push"}
