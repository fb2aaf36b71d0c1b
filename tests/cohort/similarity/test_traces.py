from __future__ import annotations

import hashlib
import time

import pytest

from grader.cohort.similarity.model import Trace
from grader.cohort.similarity.traces import email, login, traces_in, traces_in_path

RUN = hashlib.md5(b"run").hexdigest()
OUT = hashlib.md5(b"out").hexdigest()
IN = hashlib.md5(b"in").hexdigest()


def found(text: str, path: str = "a.txt") -> list[tuple[Trace, str]]:
    return list(traces_in(path, text.encode()))


@pytest.mark.parametrize(
    "text",
    [
        f"model_uri: runs:/{RUN}/model",
        f"run_id: {RUN}",
        f'"run_id": "{RUN}"',
        f"run-id={RUN}",
        f"mlruns/3/{RUN}",
        f"mlflow-artifacts:/1/{RUN}/x",
        f"\0garbage/{RUN}/artifacts\1",
    ],
)
def test_runs(text: str) -> None:
    assert found(text) == [(Trace.RUN, RUN)]


@pytest.mark.parametrize("text", [RUN, f"md5: {RUN}", f"run_id: {RUN}0", "run_id: abc", f"sha: {RUN}"])
def test_what_is_no_run(text: str) -> None:
    assert found(text) == []


def test_a_run_in_a_path() -> None:
    assert list(traces_in_path(f"mlruns/0/{RUN}/meta.yaml")) == [(Trace.RUN, RUN)]
    assert list(traces_in_path(f"x/{RUN}/meta.yaml")) == []


def test_outputs_in_dvc_files_and_not_what_stages_read() -> None:
    lock = f"""\
stages:
  train:
    cmd: python train.py
    deps:
    - path: data/train.csv
      md5: {IN}
    outs:
    - path: model.pkl
      hash: md5
      md5: {OUT}
    - path: plots
      md5: {RUN}.dir
  next:
    deps:
    - path: model.pkl
      md5: {IN}
"""
    assert found(lock, "dvc.lock") == [(Trace.OUTPUT, OUT), (Trace.OUTPUT, f"{RUN}.dir")]
    assert found(f"outs:\n- md5: {OUT}\n  size: 3\n", "model.pkl.dvc") == [(Trace.OUTPUT, OUT)]
    assert found(lock, "other.yaml") == []


def test_addresses() -> None:
    assert found('email = "Jana.Novak+x@Uni-Example.cz"') == [(Trace.EMAIL, "jana.novak+x@uni-example.cz")]


@pytest.mark.parametrize(
    "text",
    [
        "git@github.com:a/b.git",
        "you@example.com",
        "41898282+github-actions[bot]@users.noreply.github.com",
        "dependabot@x.io",
        "noreply@github.com",
        "a@localhost",
        "actions/checkout@v4",
        "@app.get",
        "torch@file",
    ],
)
def test_addresses_of_nobody(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "/home/jnovak/mlops",
        "file:///Users/JNovak/x",
        r"C:\Users\jnovak\x",
        r"c:\\Users\\jnovak\\x",
        "/home/jnovak",
    ],
)
def test_home_folders(text: str) -> None:
    assert found(text) == [(Trace.HOME, "jnovak")]


@pytest.mark.parametrize(
    "text", ["/home/runner/work", "/home/user/", "/homework/jnovak/", "/data/home/x/", "/home/"]
)
def test_home_folders_of_nobody(text: str) -> None:
    assert found(text) == []


def test_one_spelling() -> None:
    assert (email(" A@B.cz "), email("no address"), login("Jana"), login("root")) == (
        "a@b.cz",
        "",
        "jana",
        "",
    )


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        " ",
        "\n",
        "a.",
        "a@",
        "@a.",
        "/home/",
        "md5: ",
        "run_id=",
        "mlruns/1",
        "runs:/",
        "0",
        "\\",
        "C:\\Users\\",
    ],
)
def test_no_content_needs_more_than_its_length(unit: str) -> None:
    """A search that needs the square of this would need hours."""
    began = time.process_time()
    found(unit * (2**20 // len(unit)), "dvc.lock")
    assert time.process_time() - began < 60
