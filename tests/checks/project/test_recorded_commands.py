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
    "justfile": {
        "ops/justfile": "store := 's3://b/p'\nall: (track 'data/train.csv') push\n    @dvc init --force\n"
        "    dvc remote add --force --default s {{store}}\ntrack file:\n    dvc add {{file}}\n"
        "push:\n    -dvc push --remote s\n"
    },
    "invoke": {
        "tasks.py": "from invoke import task\n@task\ndef init(c):\n    c.run('dvc init', pty=True)\n"
        "    with c.cd('data'):\n        c.run('dvc add train.csv')\n"
        "@task(init)\ndef push(c):\n    c.run(f'dvc remote add -d s {c.url} && dvc push')\n"
    },
    "nox": {
        "noxfile.py": "import nox\n@nox.session\ndef data(session):\n    session.run('dvc', 'init')\n"
        "    session.run('dvc', 'remote', 'add', '-d', 's', 's3://b/p', external=True)\n"
        "    session.run('dvc', 'add', *['data/train.csv'])\n    session.run('dvc', 'push')\n"
    },
    "doit": {
        "dodo.py": "def task_dvc():\n    return {'actions': ['dvc init', 'dvc remote add s s3://b/p',\n"
        "        'dvc add %(dependencies)s data/train.csv', ['dvc', 'push']]}\n"
    },
    "Taskfile": {
        "Taskfile.yml": "vars: {DATA: data/train.csv}\ntasks:\n  init:\n    cmds:\n      - dvc init\n"
        "      - cmd: dvc remote add s s3://b/p\n  add: dvc add {{.DATA}}\n"
        "  push:\n    cmds: [{task: add}, 'dvc push']\n"
    },
    "tables of pyproject.toml": {
        "pyproject.toml": "[tool.poe.tasks]\ninit = 'dvc init'\n"
        "[tool.poe.tasks.all]\nsequence = ['init', {cmd = 'dvc remote add s s3://b/p'}]\n"
        "[tool.hatch.envs.data.scripts]\nadd = ['dvc add data/train.csv']\n"
        "[tool.taskipy.tasks]\npush = { cmd = 'dvc push', help = 'Push' }\n"
    },
    "package scripts": {
        "package.json": json.dumps(
            {"scripts": {"prepare": "dvc init", "data": "dvc remote add s s3://b/p && npm run add"}}
            | {"wireit": {"push": {"command": "dvc push"}}}
        ),
        ".vscode/tasks.json": '{"tasks": [{"command": "dvc", "args": ["add", "data/train.csv"]},\n'
        ' {"command": "dvc push"}]}',
    },
    "tox and mise": {
        "tox.ini": "[testenv:data]\ncommands =\n    dvc init\n    dvc remote add s \\\n        s3://b/p\n",
        "mise.toml": "[tasks.add]\nrun = 'dvc add data/train.csv'\n[tasks]\npush = 'dvc push'\n",
    },
    "workflow and image": {
        ".github/workflows/data.yml": "on: push\njobs:\n  data:\n    runs-on: ubuntu-latest\n    steps:\n"
        "      - run: |\n          dvc init -f\n          dvc remote add -f s s3://b/p\n",
        "docker/Dockerfile.data": "FROM python\nRUN dvc add data/train.csv \\\n && dvc push\n",
    },
    "scripts of Windows": {
        "setup.ps1": "dvc init\r\n& dvc remote add -d s `\r\n    s3://b/p\r\n",
        "push.bat": "@echo off\r\nREM all\r\n@dvc add data\\train.csv\r\ncall dvc push\r\n",
    },
    "options before the subcommand": {
        "s.sh": "dvc -q init\ndvc --cd . remote add -d s s3://b/p\ndvc add --no-commit data/train.csv\n"
        "dvc push -r s -j 4\n"
    },
    "CRLF": {"s.sh": PLAIN.replace("\n", "\r\n").encode()},
}


@pytest.mark.parametrize("files", EVERYTHING.values(), ids=EVERYTHING)
def test_recorded(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    assert found(tmp_path, files) == set(ALL)


PROMPTS = {
    "PowerShell": "PS C:\\Users\\anna\\exam> ",
    "PowerShell in a folder with spaces": "(.venv) PS C:\\Users\\Anna Maria\\My exam> ",
    "PowerShell on Linux": "PS /home/jo/exam> ",
    "PowerShell alone": "PS> ",
    "cmd": "C:\\Users\\Anna Maria\\exam>",
    "cmd in an environment": "(exam) D:\\exam>",
    "bash": "$ ",
    "bash of an administrator": "root@4f2a1b:/app# ",
    "bash of Red Hat": "[jo@host exam]$ ",
    "bash without a profile": "bash-5.2$ ",
    "bash with an environment": "(exam-py3.11) jo@host:~/exam$ ",
    "bash with a branch": "jo@host:~/exam (main)$ ",
    "zsh": "jo@macbook exam % ",
    "zsh with an environment": "(base) jo@macbook-pro exam % ",
    "oh-my-zsh": "\u279c  exam git:(main) \u2717 ",
    "oh-my-zsh without git": "\u279c  exam ",
    "starship": "\u276f ",
    "starship on one line": "~/exam main \u276f ",
    "fish": "jo@host ~/exam> ",
    "lambda": "\u03bb ",
    "Kali": "\u2514\u2500$ ",
    "greater than": "> ",
    "three of them": ">>> ",
    "IPython": "In [12]: !",
    "notebook": "!",
    "clock": "[12:30:01] jo@host:~/exam$ ",
    "number sign": "# ",
}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_recorded_behind_a_prompt(tmp_path: Path, prompt: str, end: str) -> None:
    lines = [prompt + PLAIN.splitlines()[0], "Initialized DVC repository.", ""]
    lines += [prompt + line for line in PLAIN.splitlines()[1:]]
    text = end.join(["# Data", "", "```console", *lines, "1 file pushed", "```", ""])
    assert found(tmp_path, {"README.md": text.encode()}) == set(ALL)


@pytest.mark.parametrize("prompt", [value for name, value in PROMPTS.items() if name != "number sign"])
def test_recorded_behind_a_prompt_in_plain_notes(tmp_path: Path, prompt: str) -> None:
    text = "".join(f"{prompt}{line}\n" for line in PLAIN.splitlines())
    assert found(tmp_path, {"commands.txt": text.encode()}) == set(ALL)


CONTINUED = {
    "PowerShell": ("PS C:\\x> ", " `", ">> "),
    "cmd": ("C:\\x>", " ^", "More? "),
    "bash": ("jo@host:~$ ", " \\", "> "),
    "zsh": ("jo@mac x % ", " \\", "cmdand> "),
    "no mark": ("jo@host:~$ ", " \\", "    "),
}


@pytest.mark.parametrize(("prompt", "mark", "more"), CONTINUED.values(), ids=CONTINUED)
def test_a_prompt_may_wait_for_the_rest(tmp_path: Path, prompt: str, mark: str, more: str) -> None:
    text = f"```\n{prompt}dvc add{mark}\n{more}data/train.csv\n{prompt}dvc push\n```\n"
    assert found(tmp_path, {"README.md": text}) == {"add", "push"}


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
    "comments in a session": {"README.md": "```console\n$ ls\n# dvc init\n# dvc push\n```\n"},
    "comments in a block": {"README.md": "```bash\n# dvc init\nls\n# dvc push\n```\n"},
    "headings": {"notes.txt": "# dvc init\n# dvc push\n"},
    "a justfile's comments and names": {
        "justfile": "# dvc init\ndvc-push:\n    # dvc push\n    @echo dvc add data/train.csv\n"
    },
    "a description of a task": {
        "Taskfile.yml": "tasks:\n  data:\n    desc: dvc push\n    cmds: ['echo dvc init']\n",
        "package.json": '{"description": "dvc push", "scripts": {"data": "echo dvc init"}}',
        "pyproject.toml": "[tool.poe.tasks.x]\nhelp = 'dvc push'\ncmd = 'echo dvc init'\n",
    },
    "broken files of task runners": {
        "Taskfile.yml": "tasks: [",
        "package.json": "{",
        "pyproject.toml": "[[",
        "tox.ini": "x",
        "noxfile.py": "def",
        ".vscode/tasks.json": "[1]",
    },
    "a path of Windows in another shell": {"README.md": "```console\n$ dvc add data\\train.csv\n```\n"},
    "output with a percentage": {"README.md": "```\n$ ls\n100 % dvc init\njust 5$ dvc push\n```\n"},
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
