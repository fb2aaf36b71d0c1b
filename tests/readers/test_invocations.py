from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from grader.readers import invocations as reader
from grader.readers.invocations import BLANK, invocations, is_blank, services, settings, unread
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


def test_the_likeliest_files_are_searched(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_FILES", 3)
    files = {f"notes/{n}.md": "`python src/x.py notes`" for n in range(5)}
    files |= {f"mlruns/{n}/run.sh": "python src/x.py tracked\n" for n in range(5)}
    files |= {
        "deep/er/run.sh": "MODE=fast python src/x.py script\n",
        "Makefile": "x:\n\tpython src/x.py make\n",
    }
    submission = make_submission(root, {**files, "src/x.py": ""})
    found = invocations(submission, PurePosixPath("src/x.py"))
    assert [each.arguments for each in found] == [("make",), ("script",)]
    assert settings(submission)["MODE"].value == "fast"
    assert unread(submission) == "10 of 13 files were not searched for commands"


def test_lines_that_start_nothing_do_not_count(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_TEXTS", 3)
    lines = "\n".join(f"sentence {n}" for n in range(20))
    read = make_submission(root, {"README.md": f"{lines}\n\n`python src/x.py a`\n"})
    assert [each.arguments for each in invocations(read, PurePosixPath("src/x.py"))] == [("a",)]
    assert unread(read) == ""
    lines = "\n".join(f"`python src/y.py {n}`" for n in range(4))
    cut = make_submission(root / "b", {"README.md": f"{lines}\n"})
    assert unread(cut) == "only the first 3 lines with commands were read"


IMAGE = "FROM python:3.11\nWORKDIR /srv/exam\nCOPY src/ /opt/code/\nCOPY params.yaml conf/\n"
COMMAND = {"compose.yaml": "services: {a: {command: [python, src/x.py, %s], working_dir: /jobs}}\n"}


@pytest.mark.parametrize(
    ("files", "word", "expected"),
    [
        ({"Dockerfile": IMAGE}, "/srv/exam/data/a.csv", "data/a.csv"),
        ({"Dockerfile": IMAGE}, "--in=/opt/code/a.csv", "--in=src/a.csv"),
        ({"Dockerfile": IMAGE}, "/srv/exam/conf/params.yaml", "params.yaml"),
        ({"Dockerfile": 'FROM x\nADD ["data", "/mnt/in/"]\n'}, "/mnt/in/a.csv", "data/a.csv"),
        ({"api.Dockerfile": "FROM x\nWORKDIR /a\nWORKDIR b\n"}, "/a/b/c.csv", "c.csv"),
        ({"Dockerfile": "FROM x\nCOPY --from=builder /venv /venv\n"}, "/venv/a.csv", "/venv/a.csv"),
        ({}, "/jobs/a.csv", "a.csv"),
        ({}, "/app/a.csv", "a.csv"),
        ({}, "/elsewhere/a.csv", "/elsewhere/a.csv"),
    ],
)
def test_paths_of_images(root: Path, files: dict[str, str], word: str, expected: str) -> None:
    own = {"params.yaml": "", "src/x.py": "", **{name: text % word for name, text in COMMAND.items()}}
    [found] = invocations(make_submission(root, {**own, **files}), PurePosixPath("src/x.py"))
    assert found.arguments == (expected,)


def test_paths_of_mounted_folders(root: Path) -> None:
    text = (
        "services:\n  a:\n    command: python src/x.py /in/a.csv /out/b.csv /c/d.csv\n"
        "    volumes: ['./data:/in:ro', {type: bind, source: ., target: /c}, '/tmp:/out']\n"
    )
    [found] = invocations(make_submission(root, {"compose.yaml": text}), PurePosixPath("src/x.py"))
    assert found.arguments == ("data/a.csv", "/out/b.csv", "d.csv")


def test_variables_of_images_are_paths_of_the_submission(root: Path) -> None:
    text = "FROM x\nWORKDIR /srv/exam\nCOPY data /data\nENV IN=/data/a.csv OUT=/srv/exam/out.csv URL=http://x/y\n"
    found = settings(make_submission(root, {"Dockerfile": text}))
    assert {name: each.value for name, each in found.items()} == {
        "IN": "data/a.csv",
        "OUT": "out.csv",
        "URL": "http://x/y",
    }
