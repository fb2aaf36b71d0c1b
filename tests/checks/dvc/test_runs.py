from __future__ import annotations

import hashlib
from dataclasses import replace
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from grader.checks.dvc.runs import push_round_trip, repro, repro_again
from grader.errors import NothingRuns, ToolMissing
from grader.exam.bundled import RUBRICS
from grader.results import Evidence, Outcome, Verdict
from grader.submission.model import Manifest
from tests.builders import decide, make_context
from tests.checks.live import live_context, parameters

if TYPE_CHECKING:
    from pathlib import Path

IDS = {
    "dvc_config": ".dvc/config",
    "dvc_track": "data/train.csv.dvc",
    "dvc_pipeline": "dvc.yaml",
    "params": "params.yaml",
}
PUSH, OUTPUTS, AGAIN = (
    parameters("2.1", "dvc.push_round_trip"),
    parameters("2.2", "dvc.repro"),
    parameters("2.2", "dvc.repro_again"),
)
DATA = (RUBRICS / "../fixtures/data/train.csv").resolve().read_bytes()
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()

CONFIG = "[core]\n    remote = storage\n['remote \"storage\"']\n    url = s3://mlops-exam/dvc-store\n"
TRACK = f"outs:\n- md5: {MD5}\n  size: {len(DATA)}\n  hash: md5\n  path: train.csv\n"
PUSHED: dict[str, str | bytes] = {".dvc/config": CONFIG, "data/train.csv.dvc": TRACK}


def ids(files: dict[str, str | bytes]) -> dict[str, str]:
    return {name: path for name, path in IDS.items() if path in files}


def message(outcome: Outcome) -> str:
    return "passed" if outcome.verdict is Verdict.PASSED else outcome.findings[0].message


# --- nothing runs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "dvc_track, dvc_config is missing"),
        ({".dvc/config": CONFIG}, "dvc_track is missing"),
        ({**PUSHED, ".dvc/config": "[core"}, "DVC cannot read it"),
        ({**PUSHED, ".dvc/config": ""}, "there is no remote"),
        ({**PUSHED, ".dvc/config": CONFIG.replace("s3://mlops-exam", "/tmp")}, "storage is not on S3"),
        ({**PUSHED, "data/train.csv.dvc": "outs: 1"}, "DVC cannot read it"),
        ({**PUSHED, "data/train.csv.dvc": TRACK.replace("train", "test")}, "data/train.csv is not tracked"),
        ({**PUSHED, "data/train.csv.dvc": b"\xff\x00"}, "not text"),
    ],
)
def test_what_cannot_be_pushed(root: Path, files: dict[str, str | bytes], said: str) -> None:
    outcome = decide(push_round_trip, make_context(root, files, deliverables=ids(files)), **PUSH)
    assert (outcome.verdict, outcome.evidence) == (Verdict.FAILED, Evidence.STATIC)
    assert said in message(outcome)


@pytest.mark.parametrize(("check", "given"), [(repro, OUTPUTS), (repro_again, AGAIN)])
@pytest.mark.parametrize("files", [{}, {"dvc.yaml": "stages: ["}, {"dvc.yaml": b"\xff"}, {"dvc.yaml": "[1]"}])
def test_what_is_no_pipeline(
    root: Path, check: Any, given: dict[str, Any], files: dict[str, str | bytes]
) -> None:
    outcome = decide(check, make_context(root, files, deliverables=ids(files)), **given)
    assert (outcome.verdict, outcome.evidence) == (Verdict.FAILED, Evidence.STATIC)


def test_what_nobody_runs_is_not_decided(root: Path) -> None:
    files: dict[str, str | bytes] = {**PUSHED, "dvc.yaml": "stages: {a: {cmd: x}}"}
    context = make_context(root, files, deliverables=ids(files))
    for check, given in ((push_round_trip, PUSH), (repro, OUTPUTS), (repro_again, AGAIN)):
        with pytest.raises(NothingRuns):
            decide(check, context, **given)


# --- push -----------------------------------------------------------------------------------------


def remote(*lines: str, url: str = "s3://mlops-exam/dvc-store", core: str = "remote = storage") -> str:
    more = "".join(f"    {line}\n" for line in lines)
    return f"[core]\n    {core}\n['remote \"storage\"']\n    url = {url}\n{more}"


ROUND_TRIPS: dict[str, dict[str, str | bytes]] = {
    "as-asked": {},
    "dvc-2": {"data/train.csv.dvc": f"outs:\n- md5: {MD5}\n  size: {len(DATA)}\n  path: train.csv\n"},
    "somebody-elses-endpoint": {
        ".dvc/config": remote(
            "endpointurl = https://192.0.2.1:9000",
            "profile = mine",
            "credentialpath = /home/me/.aws/credentials",
            "configpath = ../aws",
            "region = eu-central-1",
            "access_key_id = mine",
            "allow_anonymous_login = true",
        )
    },
    "no-scm-no-default": {".dvc/config": remote(core="no_scm = true")},
    "another-url": {".dvc/config": remote(url="s3://another-bucket")},
    "url-with-slashes": {".dvc/config": remote(url="s3://mlops-exam//dvc-store/")},
    "several-remotes": {
        ".dvc/config": remote(core="remote = missing") + "['remote \"a\"']\n    url = /tmp/x\n"
    },
    "another-remotes-folder": {
        ".dvc/config": "[core]\n remote = b\n['remote \"a\"']\n url = s3://mlops-exam\n"
        "['remote \"b\"']\n url = remote://a/dvc-store\n"
    },
    "versions-in-the-cloud": {".dvc/config": remote("version_aware = true")},
    "cache-elsewhere": {
        ".dvc/config": remote() + '[cache]\n    dir = /data/cache\n    type = "symlink,hardlink"\n',
    },
    "wrong-hash": {"data/train.csv.dvc": TRACK.replace(MD5, "a" * 32)},
    "hidden-by-git": {".gitignore": "data/\n.dvc/\n*.dvc\n"},
    "broken-neighbours": {
        "dvc.yaml": "stages: [",
        "dvc.lock": "x",
        "models/dvc.yaml": "stages: [",
        ".dvc/config.local": "[",
        ".dvc/cache/files/md5": "no folder",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_round_trips(root: Path, name: str) -> None:
    files = PUSHED | ROUND_TRIPS[name]
    with live_context(root, files, deliverables=ids(files)) as context:
        assert decide(push_round_trip, context, **PUSH).findings == ()


NO_ROUND_TRIPS: dict[str, tuple[dict[str, str | bytes], str]] = {
    "not-cached": ({"data/train.csv.dvc": TRACK + "  cache: false\n"}, "is not in the remote"),
    "not-pushed": ({"data/train.csv.dvc": TRACK + "  push: false\n"}, "is not in the remote"),
    "ignored": ({".dvcignore": "data\n"}, "cannot add data/train.csv"),
    "no-such-bucket": ({".dvc/config": remote(url="s3://MLOps_Exam/x")}, "is not a valid S3 bucket name"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NO_ROUND_TRIPS)
def test_no_round_trips(root: Path, name: str) -> None:
    changed, said = NO_ROUND_TRIPS[name]
    files = PUSHED | changed
    with live_context(root, files, deliverables=ids(files)) as context:
        assert said in message(decide(push_round_trip, context, **PUSH))


# --- repro ----------------------------------------------------------------------------------------

CLEAN = """
from pathlib import Path
lines = Path("data/raw/train.csv").read_text().splitlines()
Path("data/processed").mkdir(exist_ok=True)
Path("data/processed/train_clean.csv").write_text("\\n".join(dict.fromkeys(lines)))
"""
TRAIN = """
import os, sys, urllib.request
from pathlib import Path
import yaml
print(yaml.safe_load(Path("params.yaml").read_text()))
urllib.request.urlopen(os.environ["MLFLOW_TRACKING_URI"] + "/health")
Path("models").mkdir(exist_ok=True)
Path("models/model.pkl").write_text(Path("data/processed/train_clean.csv").read_text()[:100])
"""
STAGES = """
stages:
  preprocess:
    cmd: python src/clean.py
    deps: [data/raw/train.csv, src/clean.py]
    outs: [data/processed/train_clean.csv]
  train:
    cmd: python src/train.py
    deps: [data/processed/train_clean.csv, src/train.py]
    params: [train.n_estimators, train.learning_rate]
    outs: [models/model.pkl]
"""
PIPELINE: dict[str, str | bytes] = {
    ".dvc/config": "",
    "dvc.yaml": STAGES,
    "params.yaml": "train:\n  n_estimators: 100  # trees\n  learning_rate: 0.1\n",
    "src/clean.py": CLEAN,
    "src/train.py": TRAIN,
}
_EVALUATE = """\
  evaluate:
    cmd: wc -c < models/model.pkl > metrics.json
    deps: [models/model.pkl]
    metrics: [{metrics.json: {cache: false}}]
"""
PASSED = ("passed", "passed")

PIPELINES: dict[str, tuple[dict[str, str | bytes], tuple[str, str]]] = {
    "as-asked": ({"data/processed/train_clean.csv": "old", "dvc.lock": "schema: '2.0'\n"}, PASSED),
    "more-stages": ({"dvc.yaml": STAGES + _EVALUATE, ".gitignore": "*\n"}, PASSED),
    "whole-file-and-folders": (
        {
            ".dvc/config": "[core",
            "dvc.yaml": STAGES.replace("src/train.py]", "src]", 1)
            .replace("[train.n_estimators, train.learning_rate]", "[{params.yaml: null}]")
            .replace("outs: [models/model.pkl]", "outs: [models]"),
            "models/model.pkl": "old",
            "src/helper.py": "name = 1",
            "src/train.py": TRAIN + "import helper\n",
        },
        PASSED,
    ),
    "templates": (
        {
            "dvc.yaml": STAGES.replace("src/train.py\n", "src/train.py ${train.n_estimators}\n").replace(
                "params: [train.n_estimators, train.learning_rate]", "always_changed: false"
            )
        },
        PASSED,
    ),
    "a-group-and-another-model": (
        {
            "params.yaml": "base: {n_estimators: 5}\nmodels: {a: {n_estimators: 5}, b: {n_estimators: 6}}\n",
            "dvc.yaml": """
                stages:
                  preprocess:
                    cmd: python src/clean.py
                    outs: [data/processed/train_clean.csv]
                    deps: [data/raw/train.csv]
                    params: [base.n_estimators]
                  train:
                    foreach: ${models}
                    do:
                      cmd: echo ${item.n_estimators} > ${key}.pkl
                      outs: ["${key}.pkl"]
                """,
        },
        PASSED,
    ),
    "crashes": (
        {"src/clean.py": "import json\ndef main():\n    json.loads('{')\nmain()\n"},
        ("fails at stage preprocess", "fails at stage preprocess"),
    ),
    "crashes-after-the-change": (
        {"src/train.py": TRAIN + "assert 'n_estimators: 100' in Path('params.yaml').read_text(), 'no'\n"},
        ("passed", "fails with train.n_estimators changed from 100 to 101"),
    ),
    "prints-only": (
        {"src/train.py": "print(\"Running stage 'train':\\n> x\\nUpdating lock file 'dvc.lock'\")"},
        ("fails at stage train", "fails at stage train"),
    ),
    "writes-elsewhere": (
        {"src/train.py": "open('/workspace/../model.pkl', 'w').write('x')"},
        ("fails at stage train", "fails at stage train"),
    ),
    "outputs-elsewhere": (
        {"dvc.yaml": STAGES.replace("models/model.pkl", "/tmp/m.pkl").replace("src/train.py\n", "-c 0\n")},
        ("fails", "fails"),
    ),
    "touches-only": (
        {"src/train.py": "import os; os.makedirs('models', exist_ok=True); open('models/model.pkl', 'w')"},
        ("leaves these outputs empty: models/model.pkl", "passed"),
    ),
    "no-outputs": (
        {"dvc.yaml": "stages: {train: {cmd: echo, deps: [params.yaml]}}"},
        ("no stage declares an output", "passed"),
    ),
    "always": (
        {"dvc.yaml": STAGES.replace("  train:\n", "  train:\n    always_changed: true\n")},
        ("passed", "runs stage train again"),
    ),
    "changes-what-it-reads": (
        {"src/train.py": TRAIN + "open('data/raw/train.csv', 'a').write('1\\n')\n"},
        ("passed", "runs stage preprocess, train again"),
    ),
    "params-not-declared": (
        {"dvc.yaml": STAGES.replace("train.n_estimators, ", "")},
        ("passed", "does not rerun stage train"),
    ),
    "params-of-another-file": (
        {
            "params.yaml": "learning_rate: 0.1\n",
            "conf/model.yaml": "train: {n_estimators: 3}\n",
            "dvc.yaml": STAGES.replace("train.n_estimators, train.", "{conf/model.yaml: [train]}, "),
        },
        PASSED,
    ),
    "no-such-param": (
        {"params.yaml": "train: {n_estimators: many, learning_rate: 1}"},
        ("passed", "params.yaml has no number n_estimators"),
    ),
    "takes-the-params-file-away": (
        {"src/train.py": TRAIN + "os.remove('params.yaml'); os.symlink('/etc/passwd', 'params.yaml')\n"},
        ("fails at stage train", "fails at stage train"),
    ),
    "kills-dvc": (
        {"src/train.py": "import os, signal; os.kill(os.getppid(), signal.SIGKILL)\n"
         "os.kill(int(open(f'/proc/{os.getppid()}/stat').read().split()[3]), signal.SIGKILL)\n"},
        ("dvc repro", "dvc repro"),
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines(root: Path, name: str) -> None:
    changed, expected = PIPELINES[name]
    files = PIPELINE | changed
    with live_context(root, files, deliverables=ids(files)) as context:
        outcomes = decide(repro, context, **OUTPUTS), decide(repro_again, context, **AGAIN)
    for outcome, said in zip(outcomes, expected, strict=True):
        assert said in message(outcome), outcome


@pytest.mark.slow
def test_a_stage_that_crashes_is_shown_where_it_does(root: Path) -> None:
    files = PIPELINE | PIPELINES["crashes"][0]
    with live_context(root, files, deliverables=ids(files)) as context:
        (finding,) = decide(repro, context, **OUTPUTS).findings
    assert finding.where == "src/clean.py:3"
    assert finding.actual.startswith("JSONDecodeError: Expecting property name")
    assert "site-packages" not in finding.detail


@pytest.mark.slow
def test_a_stage_that_hangs_is_named(root: Path) -> None:
    files = PIPELINE | {"src/train.py": dedent("import time\ntime.sleep(100)")}
    hurried = AGAIN["scenario"].changed(wall_seconds=8)
    with live_context(root, files, deliverables=ids(files)) as context:
        (finding,) = decide(repro, context, **{**OUTPUTS, "scenario": hurried}).findings
    assert finding.message == "`dvc repro` fails at stage train (was stopped after 8 s (wall limit))"


@pytest.mark.slow
def test_an_environment_without_dvc_decides_nothing(root: Path) -> None:
    wanting = AGAIN["scenario"].changed(packages=("dvc", "no-such-package"))
    with (
        live_context(root, PIPELINE, deliverables=ids(PIPELINE)) as context,
        pytest.raises(ToolMissing, match="no-such-package cannot be installed"),
    ):
        decide(repro, context, **{**OUTPUTS, "scenario": wanting})


@pytest.mark.slow
def test_a_dvc_that_does_not_work_decides_nothing(root: Path) -> None:
    """As one that the candidate's lock gives no company that it can live with."""
    files = PIPELINE | {"broken/dvc/__init__.py": "import nothing_of_the_kind"}
    fails = files | {".dvcignore/a": "a folder"}
    with live_context(root / "fails", fails, deliverables=ids(fails)) as context:
        assert "ended with status 255" in message(decide(repro, context, **OUTPUTS))
    manifest = Manifest(environment={"PYTHONPATH": "/workspace/broken"})
    with live_context(root, files, deliverables=ids(files)) as context:
        broken = replace(context, submission=replace(context.submission, manifest=manifest))
        assert broken.runtime is not None
        broken.runtime._submission = broken.submission
        with pytest.raises(ToolMissing, match=r"DVC does not work .*nothing_of_the_kind"):
            decide(repro, broken, **OUTPUTS)
