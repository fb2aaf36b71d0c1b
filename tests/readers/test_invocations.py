from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from grader.readers.invocations import BLANK, invocations, is_blank, services, settings
from tests.builders import make_submission

if TYPE_CHECKING:
    from pathlib import Path

DVC = """
vars: [conf/paths.yaml]
stages:
  train:
    wdir: .
    cmd:
      - echo ready
      - python -m src.x --config ${files.config} --data ${unknown}
"""
WORKFLOW = """
env: {STAGE: dev}
jobs:
  a:
    steps:
      - run: |
          pip install .
          python src/x.py --level "$LEVEL"
        working-directory: .
"""
DOCKERFILE = """
FROM python:3.11-slim
WORKDIR /app
ENV MODE=fast LEVEL=3
COPY src/x.py .
ENTRYPOINT ["python", "x.py"]
CMD ["--config", "/app/params.yaml"]
"""
COMPOSE = """
services:
  job:
    command: ["python", "src/x.py", "--out", "/app/out"]
    environment:
      - MODE=${MODE:-slow}
"""
MANIFEST = """
kind: Deployment
spec:
  containers:
    - name: job
      command: [python, src/x.py]
      args: [--once]
      env:
        - name: LEVEL
          value: 4
"""
README = """
# x

    not a command

```bash
python src/x.py <input.csv> [--verbose] OUTPUT
cd src && python x.py a b
```
"""
PROJECT = """
[project.scripts]
do-x = "src.x:main"
"""


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"dvc.yaml": DVC, "conf/paths.yaml": "files: {config: conf/x.yaml}"},
            [("dvc.yaml:8", "", ("--config", "conf/x.yaml", "--data", f"{BLANK}unknown"))],
        ),
        ({"Makefile": "PY = python\nx:\n\t@$(PY) src/x.py -n 3\n"}, [("Makefile:3", "", ("-n", "3"))]),
        ({"justfile": "x file:\n    python src/x.py {{file}}\n"}, [("justfile:2", "", (f"{BLANK}file",))]),
        ({".github/workflows/ci.yml": WORKFLOW}, [(".github/workflows/ci.yml:8", "", ("--level", "$LEVEL"))]),
        ({"Dockerfile": DOCKERFILE}, [("Dockerfile:7", "", ("--config", "params.yaml"))]),
        ({"compose.yaml": COMPOSE}, [("compose.yaml:4", "", ("--out", "out"))]),
        ({"k8s/job.yaml": MANIFEST}, [("k8s/job.yaml:6", "", ("--once",))]),
        (
            {"README.md": README},
            [
                ("README.md:7", "", (f"{BLANK}input.csv", "OUTPUT")),
                ("README.md:8", "src", ("a", "b")),
            ],
        ),
        ({"pyproject.toml": PROJECT}, [("pyproject.toml:3", "", ())]),
        (
            {"notes.md": "`dvc stage add -n x -d a python src/x.py --fast`\n"},
            [("notes.md:1", "", ("--fast",))],
        ),
        ({"src/x.py": '"""Do it.\n\nUsage: python src/x.py IN\n"""\n'}, [("src/x.py:3", "", ("IN",))]),
        (
            {"src/y.py": "import subprocess\nsubprocess.run(['python', 'src/x.py', '1'])"},
            [("src/y.py:2", "", ("1",))],
        ),
        ({"README.md": "`python src\\x.py data\\in.csv`"}, [("README.md:1", "", ("data/in.csv",))]),
        ({"tests/test_x.py": "import os\nos.system('python src/x.py 1')"}, []),
        ({"README.md": "`python src/y.py 1`, `python -c x`, `ls src/x.py`"}, []),
    ],
)
def test_where_a_file_is_started(
    root: Path, files: dict[str, str], expected: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    submission = make_submission(root, {"src/x.py": "", **files})
    found = invocations(submission, PurePosixPath("src/x.py"))
    assert [(each.where, each.folder, each.arguments) for each in found] == expected


@pytest.mark.parametrize("word", [f"{BLANK}x", "$1", "path/to/in.csv", "/path", "YOUR_FILE", "your-file.csv"])
def test_words_to_be_filled_in(word: str) -> None:
    assert is_blank(word)


@pytest.mark.parametrize("word", ["configs/paths.yaml", "data/in.csv", "IO", "0.85", "--path", "models:/X/1"])
def test_words_that_stay(word: str) -> None:
    assert not is_blank(word)


def test_a_pipeline_is_trusted_before_notes(root: Path) -> None:
    files = {
        "README.md": "`python src/x.py a`",
        "Makefile": "x:\n\tpython src/x.py b\n",
        "dvc.yaml": "stages: {x: {cmd: python src/x.py c}}",
    }
    found = invocations(make_submission(root, files), PurePosixPath("src/x.py"))
    assert [each.arguments for each in found] == [("c",), ("b",), ("a",)]


def test_an_entry_point_has_a_function(root: Path) -> None:
    files = {"pyproject.toml": PROJECT, "Makefile": "x:\n\tpoetry run do-x --fast\n"}
    found = invocations(make_submission(root, files), PurePosixPath("src/x.py"))
    assert [(each.module, each.function, each.arguments) for each in found] == [
        ("src.x", "main", ("--fast",)),
        ("src.x", "main", ()),
    ]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"README.md": "`uvicorn src.api:app --reload`"}, [("src.api:app", False, "")]),
        ({"Makefile": "x:\n\tcd src && uvicorn api:make --factory\n"}, [("api:make", True, "src")]),
        (
            {"Dockerfile": 'FROM x\nWORKDIR /app\nCMD ["uvicorn", "--app-dir", "/app/src", "api:app"]'},
            [("api:app", False, "src")],
        ),
        (
            {"Procfile": "web: gunicorn -k uvicorn.workers.UvicornWorker 'src.api:make()'"},
            [("src.api:make", True, "")],
        ),
        ({"README.md": "`uvicorn --host 0.0.0.0:80`"}, []),
    ],
)
def test_services(root: Path, files: dict[str, str], expected: list[tuple[str, bool, str]]) -> None:
    found = services(make_submission(root, files))
    assert [(each.target, each.factory, each.folder) for each in found] == expected


def test_settings_in_order_of_trust(root: Path) -> None:
    files = {
        "k8s/job.yaml": MANIFEST,
        ".env.example": "# for you\nLEVEL=1\nexport TOKEN=<your token>\nNAME='a b'\nEMPTY=\n",
        "compose.yaml": COMPOSE,
        "Dockerfile": DOCKERFILE,
        "config.yaml": "kind: ConfigMap\ndata: {REGION: eu}\n",
        "run.sh": "export REGION=us DEPTH=2\n",
    }
    found = settings(make_submission(root, files))
    assert {name: (each.value, each.where) for name, each in found.items()} == {
        "REGION": ("eu", "config.yaml:2"),
        "LEVEL": ("4", "k8s/job.yaml:9"),
        "NAME": ("a b", ".env.example:4"),
        "MODE": ("slow", "compose.yaml:6"),
        "DEPTH": ("2", "run.sh:1"),
    }


@pytest.mark.parametrize(
    "files",
    [
        {"dvc.yaml": "stages: [1, {cmd: 2}]\nvars: {a: 1}"},
        {"dvc.yaml": "stages: {a: {cmd: {b: c}}, d: {foreach: 1, do: [2]}}"},
        {"compose.yaml": "services: {a: {command: 1, environment: [1, {2: 3}]}}"},
        {"Dockerfile": "CMD [\nENTRYPOINT [1, ']\nENV '\nENV a\nCMD"},
        {"pyproject.toml": "[project]\nscripts = 3\n[tool]\npoetry = []"},
        {"README.md": "`python`, `python -m`, `uvicorn`, `dvc run`, `python ''`, `./.py`"},
        {".env": "=\nA\n=b\nA=\n"},
    ],
)
def test_nothing_is_too_strange(root: Path, files: dict[str, str]) -> None:
    submission = make_submission(root, files)
    invocations(submission, PurePosixPath("src/x.py"))
    services(submission)
    settings(submission)
