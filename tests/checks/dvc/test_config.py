from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from grader.checks.dvc.config import config_valid, default_remote, remote_url, tracked_hash, tracks
from grader.checks.dvc.pipeline import depends, outputs, params_hold, params_taken
from grader.results import Evidence, Finding, Outcome, Verdict, failed, passed, stopped
from tests.builders import decide, make_context

if TYPE_CHECKING:
    from pathlib import Path

    from grader.context import Context

URL = "s3://mlops-exam/dvc-store"
DATA = b"age,target\n1,0\n"
MD5 = hashlib.md5(DATA).hexdigest()


def config(root: Path, text: str | bytes, **more: str) -> Context:
    files = {".dvc/config": text} | {f".dvc/{name}": content for name, content in more.items()}
    return make_context(root, files, deliverables={"dvc_config": ".dvc/config"})


def section(name: str, url: str, *more: str) -> str:
    return "\n".join([f"['remote \"{name}\"']", f"    url = {url}", *more, ""])


READ = {
    "empty": "",
    "remote": section("storage", URL),
    "no_scm": "[core]\n    no_scm = True\n",
    "credentials": section("storage", URL, "    endpointurl = http://localhost:9000", "    profile = exam"),
    "comments": "# made by hand\n" + section("storage", URL),
    "CRLF": section("storage", URL).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("text", READ.values(), ids=READ)
def test_config_that_dvc_reads(tmp_path: Path, text: str) -> None:
    assert decide(config_valid, config(tmp_path, text), file="dvc_config") == passed()


REFUSED = {
    "no section": "remote = storage",
    "unknown section": "[remotes]\nurl = x",
    "unknown option": "[core]\nremotes = storage",
    "no ini file": "core:\n  remote: storage\n",
    "broken header": "[core\nremote = storage",
    "scalar for a section": 'remote = "x"\n[core]\nremote = "y"',
    "no URL": "['remote \"storage\"']\n    profile = exam",
    "list for a URL": section("storage", "a, b"),
    "interpolation": section("storage", "%(missing)s"),
    "not UTF-8": b"\xff\xfe\x00[core]",
    "binary": b"\x00" * 100,
    "unknown scheme option": section("storage", URL, "    bucket = x"),
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_config_that_dvc_refuses(tmp_path: Path, text: str | bytes) -> None:
    context = config(tmp_path, text)
    assert decide(config_valid, context, file="dvc_config").verdict is Verdict.FAILED
    assert decide(remote_url, context, file="dvc_config", url=URL).verdict is Verdict.FAILED
    assert decide(default_remote, context, file="dvc_config").verdict is Verdict.FAILED


@pytest.mark.parametrize(
    "text",
    [
        section("storage", URL),
        section("storage", URL + "/"),
        section("other", "/tmp/x") + section("storage", URL),
        section("Storage", URL, "    endpointurl = http://localhost:9000"),
        section("base", "s3://mlops-exam") + section("storage", "remote://base/dvc-store"),
    ],
)
def test_remote_url(tmp_path: Path, text: str) -> None:
    assert decide(remote_url, config(tmp_path, text), file="dvc_config", url=URL) == passed()


@pytest.mark.parametrize(
    "text",
    [
        "",
        section("storage", "s3://mlops-exam"),
        section("storage", "s3://mlops-exam/dvc-store/deep"),
        section("storage", "s3://mlops-exam/dvc-storage"),
        section("storage", "mlops-exam/dvc-store"),
        section("storage", "remote://storage/x"),
        section("storage", "remote://nowhere/x"),
        "# " + section("storage", URL).replace("\n", "\n# "),
    ],
)
def test_another_url(tmp_path: Path, text: str) -> None:
    context = config(tmp_path, text)
    assert decide(remote_url, context, file="dvc_config", url=URL).verdict is Verdict.FAILED


def test_the_local_config_is_no_part_of_it(tmp_path: Path) -> None:
    context = config(tmp_path, "", **{"config.local": section("storage", URL)})
    assert decide(remote_url, context, file="dvc_config", url=URL) == failed(
        Finding(
            message="no remote has the required URL",
            expected=URL,
            actual="no remotes",
            where=".dvc/config",
        )
    )


def test_the_machine_s_config_is_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config").write_text(section("storage", URL))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "home"))
    context = config(tmp_path / "submission", "")
    assert decide(remote_url, context, file="dvc_config", url=URL).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("core", "verdict"),
    [
        ("[core]\n    remote = storage\n", Verdict.PASSED),
        ("[core]\n    remote = Storage\n", Verdict.PASSED),
        ("[core]\n    remote = store\n", Verdict.FAILED),
        ("[core]\n    analytics = false\n", Verdict.FAILED),
        ("[core]\n[[remote]]\nx = 1\n", Verdict.FAILED),
        ("", Verdict.FAILED),
    ],
)
def test_default_remote(tmp_path: Path, core: str, verdict: Verdict) -> None:
    context = config(tmp_path, core + section("storage", "/tmp/store"))
    assert decide(default_remote, context, file="dvc_config").verdict is verdict


def tracked(root: Path, text: str | bytes, path: str = "data/train.csv.dvc") -> Context:
    given = root.parent / f"{root.name}-given.csv"
    given.write_bytes(DATA)
    context = make_context(root, {path: text}, deliverables={"dvc_track": path})
    return replace(context, exam=replace(context.exam, data={"data/train.csv": given}))


def hashed(context: Context) -> Outcome:
    return decide(tracked_hash, context, file="dvc_track", path="data/train.csv")


def follows(context: Context) -> Outcome:
    return decide(tracks, context, file="dvc_track", path="data/train.csv")


@pytest.mark.parametrize(
    "text",
    [
        f"outs:\n- md5: {MD5}\n  size: 15\n  hash: md5\n  path: train.csv\n",
        f"outs:\n- md5: {MD5}\n  size: 15\n  path: train.csv\n",
        f"md5: {MD5}\nframe: 1\n".replace("frame: 1\n", f"outs:\n- md5: {MD5}\n  path: ./train.csv\n"),
        f"wdir: ..\nouts:\n- md5: {MD5}\n  path: data/train.csv\n",
        f"outs:\n- path: other.csv\n  md5: {MD5[::-1]}\n- path: train.csv\n  md5: {MD5}\n",
        f"outs:\n- md5: {MD5}\n  path: train.csv\n  desc: customers\n  remote: storage\nmeta: {{by: me}}\n",
    ],
)
def test_tracked(tmp_path: Path, text: str) -> None:
    context = tracked(tmp_path / "s", text)
    assert follows(context) == passed()
    assert hashed(context) == passed()


@pytest.mark.parametrize("md5", ["d41d8cd98f00b204e9800998ecf8427e", MD5.upper(), MD5[:-1]])
def test_another_hash(tmp_path: Path, md5: str) -> None:
    context = tracked(tmp_path / "s", f"outs:\n- md5: {md5}\n  path: train.csv\n")
    assert follows(context) == passed()
    assert hashed(context) == failed(
        Finding(
            message="the hash is not that of the file from the exam",
            expected=MD5,
            actual=md5,
            where="data/train.csv.dvc",
        )
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "outs: []",
        "outs:\n- train.csv\n",
        "outs:\n  path: train.csv\n",
        f"outs:\n- md5: {MD5}\n",
        f"outs:\n- md5: {MD5}\n  path: data/train.csv\n",
        f"outs:\n- md5: {MD5}\n  path: [train.csv]\n",
        f"outs:\n- md5: {MD5}\n  path: train.csv\n  colour: red\n",
        "outs:\n- md5: 12\n  path: train.csv\n",
        "stages:\n  train: {cmd: x}\n",
        "outs: [",
        "- 1",
        "text",
        "1: 2",
        "outs: &a [*a]",
        "wdir: 3\nouts: []",
        b"\xff\x00",
        "outs: null\nwdir: null\n",
        "---\nouts: []\n---\nouts: []\n",
        "<<<<<<< HEAD\nouts: []\n=======\n",
    ],
)
def test_not_tracked(tmp_path: Path, text: str | bytes) -> None:
    context = tracked(tmp_path / "s", text)
    assert follows(context).verdict is Verdict.FAILED
    assert hashed(context).verdict is Verdict.FAILED


def test_dvc_says_what_is_wrong_and_where(tmp_path: Path) -> None:
    context = tracked(tmp_path / "s", f"outs:\n- md5: {MD5}\n  path: train.csv\n  colour: red\n")
    assert follows(context) == stopped(
        Finding(
            message="DVC cannot read it: extra keys not allowed at outs.0.colour",
            where="data/train.csv.dvc:4",
        ),
        evidence=Evidence.STATIC,
    )


def test_missing_files(tmp_path: Path) -> None:
    context = make_context(tmp_path, {})
    for outcome in (
        decide(config_valid, context, file="dvc_config"),
        decide(remote_url, context, file="dvc_config", url=URL),
        decide(default_remote, context, file="dvc_config"),
        follows(context),
        hashed(context),
        decide(depends, context, file="dvc_pipeline", stage="train", path="x"),
        decide(params_hold, context, file="params", names=["a"]),
        decide(params_taken, context, file="dvc_pipeline", params="params", names=["a"]),
    ):
        assert outcome.verdict is Verdict.FAILED


PARAMS = "learning_rate: 0.1\nn_estimators: 100\n"
NESTED = "model:\n  train:\n    learning_rate: 0.1\n    n_estimators: 100\npaths:\n  raw: data/raw\n"


def pipeline(root: Path, text: str | bytes, params: str | bytes | None = PARAMS, **files: str) -> Context:
    content: dict[str, str | bytes] = {"dvc.yaml": text, **files}
    deliverables = {"dvc_pipeline": "dvc.yaml"}
    if params is not None:
        content["params.yaml"] = params
        deliverables["params"] = "params.yaml"
    return make_context(root, content, deliverables=deliverables)


def one(*lines: str, name: str = "preprocess") -> str:
    return "\n".join(["stages:", f"  {name}:", "    cmd: python x.py", *(f"    {line}" for line in lines)])


def dep(context: Context) -> Verdict:
    return decide(
        depends, context, file="dvc_pipeline", stage="preprocess", path="data/raw/train.csv"
    ).verdict


def out(context: Context) -> Verdict:
    path = "data/processed/train_clean.csv"
    return decide(outputs, context, file="dvc_pipeline", stage="preprocess", path=path).verdict


def taken(context: Context) -> Verdict:
    names = ["learning_rate", "n_estimators"]
    return decide(params_taken, context, file="dvc_pipeline", params="params", names=names).verdict


STAGES = {
    "plain": one("deps: [data/raw/train.csv]", "outs: [data/processed/train_clean.csv]"),
    "dot": one("deps: [./data/raw/train.csv]", "outs: [./data/processed//train_clean.csv]"),
    "options": one(
        "deps: [data/raw/train.csv]",
        "outs:",
        "  - data/processed/train_clean.csv: {cache: false, persist: true}",
    ),
    "wdir": one("wdir: data/processed", "deps: [../raw/train.csv]", "outs: [train_clean.csv]"),
    "vars": "vars:\n  - raw: data/raw\n  - out: {dir: data/processed}\n"
    + one("deps: ['${raw}/train.csv']", "outs: ['${out.dir}/train_clean.csv']"),
    "templates from params.yaml": one(
        "deps: ['${paths.raw}/train.csv']", "outs: [data/processed/train_clean.csv]"
    ),
    "vars from a file": "vars: [paths.json]\n"
    + one("deps: ['${raw}/train.csv']", "outs: [data/processed/train_clean.csv]"),
    "stage vars": one(
        "vars: [{raw: data/raw}]", "deps: ['${raw}/train.csv']", "outs: [data/processed/train_clean.csv]"
    ),
    "foreach": "stages:\n  preprocess:\n    foreach: [train, test]\n    do:\n      cmd: x ${item}\n"
    "      deps: ['data/raw/${item}.csv']\n      outs: ['data/processed/${item}_clean.csv']\n",
    "matrix": "stages:\n  preprocess:\n    matrix: {part: [train, test]}\n    cmd: x ${item.part}\n"
    "    deps: ['data/raw/${item.part}.csv']\n    outs: ['data/processed/${item.part}_clean.csv']\n",
    "metrics": one("deps: [data/raw/train.csv]", "metrics: [data/processed/train_clean.csv: {cache: false}]"),
    "plots": one("deps: [data/raw/train.csv]", "plots: [data/processed/train_clean.csv: {x: age}]"),
    "commands in a list": "stages:\n  preprocess:\n    cmd: [a, b]\n    deps: [data/raw/train.csv]\n"
    "    outs: [data/processed/train_clean.csv]\n",
    "folder of the dependency": one("deps: [data/raw/]", "outs: [data/processed/train_clean.csv]"),
    "another stage is broken": "stages:\n  report:\n    cmd: x ${nowhere}\n"
    + one("deps: [data/raw/train.csv]", "outs: [data/processed/train_clean.csv]").removeprefix("stages:\n"),
}


@pytest.mark.parametrize("text", STAGES.values(), ids=STAGES)
def test_stage(tmp_path: Path, text: str) -> None:
    files = {"paths.json": json.dumps({"raw": "data/raw"})}
    params = "" if "paths.json" in text else NESTED
    context = pipeline(tmp_path, text, params, **files)
    assert (dep(context), out(context)) == (Verdict.PASSED, Verdict.PASSED)


BROKEN = {
    "empty": "",
    "no stages": "stages: {}",
    "stages are a list": "stages: [preprocess]",
    "not YAML": "stages: [",
    "not UTF-8": b"\xff\xfe",
    "text": "preprocess",
    "no command": "stages: {preprocess: {deps: [data/raw/train.csv]}}",
    "unknown key": one("depends: [data/raw/train.csv]"),
    "deps are text": one("deps: data/raw/train.csv", "outs: data/processed/train_clean.csv"),
    "deps are mappings": one("deps: [{data/raw/train.csv: 1}]"),
    "stage is null": "stages:\n  preprocess:\n",
    "numbers for names": "stages:\n  1: {cmd: x}\n",
    "other name": one("deps: [data/raw/train.csv]", "outs: [data/processed/train_clean.csv]", name="prepare"),
    "twice": one("deps: []") + "\n  preprocess:\n    cmd: y\n",
    "unknown variable": one("deps: ['${nowhere}/train.csv', data/raw/train.csv]"),
    "broken template": one("deps: ['${raw', '${}', data/raw/train.csv]"),
    "vars that are missing": "vars: [nowhere.yaml]\n" + one("deps: [data/raw/train.csv]"),
    "vars outside of the submission": "vars: [/etc/hostname, ../../secret.yaml]\n" + one("deps: [a]"),
    "vars are a mapping": "vars: {a: 1}\n" + one("deps: [a]"),
    "foreach without do": "stages:\n  preprocess:\n    foreach: [1]\n    cmd: x\n",
    "foreach over text": "stages:\n  preprocess:\n    foreach: abc\n    do: {cmd: x}\n",
    "foreach over a number": "stages:\n  preprocess:\n    foreach: ${n_estimators}\n    do: {cmd: x}\n",
    "an endless matrix": "stages:\n  preprocess:\n    matrix:\n"
    + "".join(f"      k{n}: {list(range(50))}\n" for n in range(9))
    + "    cmd: x\n    deps: [data/raw/train.csv]\n    outs: [data/processed/train_clean.csv]\n",
    "a matrix of a number": "stages:\n  preprocess:\n    matrix: {a: '${n_estimators}'}\n    cmd: x\n",
    "a bomb": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join(['*a' + (str(n - 1) if n else '')] * 9)}]\n" for n in range(9)),
    "a cycle": "stages: &s\n  preprocess: *s\n",
    "a template for a list": "vars: [{d: [data/raw/train.csv]}]\n" + one("deps: ['${d}']"),
    "a wdir that is a list": one("wdir: [a]", "deps: [data/raw/train.csv]"),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_broken_pipelines(tmp_path: Path, text: str | bytes) -> None:
    context = pipeline(tmp_path, text)
    assert (dep(context), out(context), taken(context)) == (Verdict.FAILED,) * 3


@pytest.mark.parametrize(
    "text",
    [
        one("deps: [src/x.py]", "outs: [data/processed/other.csv]"),
        one("deps: [data/raw/train.csv.bak]", "outs: [data/processed]"),
        one("deps: [data/train.csv]", "outs: [train_clean.csv]"),
        one("wdir: src", "deps: [data/raw/train.csv]", "outs: [data/processed/train_clean.csv]"),
        one("deps: [/data/raw/train.csv]", "outs: [s3://b/data/processed/train_clean.csv]"),
        one("outs: [data/raw/train.csv]", "deps: [data/processed/train_clean.csv]"),
        one("deps: ['.']"),
    ],
)
def test_other_paths(tmp_path: Path, text: str) -> None:
    context = pipeline(tmp_path, text)
    assert (dep(context), out(context)) == (Verdict.FAILED, Verdict.FAILED)


def items(number: int, text: str) -> str:
    return "".join(f"\n    - {json.dumps(text)}" for _ in range(number))


@pytest.mark.parametrize(
    ("text", "params", "said"),
    [
        ("stages:\n  preprocess:\n    cmd: '" + "${a}" * 1_001 + "'", "{}", "no more than 1,000 templates"),
        ("stages: {}\nx: " + "y" * 400_000, "{}", "no more than 300,000 characters"),
        (
            "stages:\n  preprocess:\n    cmd: '" + "${a}-" * 900 + "'",
            f"a: {'x' * 100_000}",
            "come to more than 2,000,000 characters",
        ),
        (
            "stages:\n  preprocess:\n    foreach:"
            + items(9, "${a}-" * 50)
            + f"\n    do:\n      cmd: '{'${item}-' * 300}'",
            f"a: {'x' * 1_000}",
            "come to more than 2,000,000 characters",
        ),
    ],
    ids=["many templates", "a long file", "long values", "values of values"],
)
def test_pipelines_without_end(tmp_path: Path, text: str, params: str, said: str) -> None:
    context = pipeline(tmp_path, text, params)
    outcome = decide(depends, context, file="dvc_pipeline", stage="preprocess", path="x")
    assert outcome.verdict is Verdict.FAILED
    assert said in outcome.findings[0].message


def test_a_configuration_without_end(tmp_path: Path) -> None:
    outcome = decide(config_valid, config(tmp_path, "[core]\nx = y\n" * 40_000), file="dvc_config")
    assert outcome.verdict is Verdict.FAILED
    assert "longer than 300,000 characters" in outcome.findings[0].message


def test_dvc_says_what_is_wrong_with_a_pipeline(tmp_path: Path) -> None:
    context = pipeline(tmp_path, one("depends: [data/raw/train.csv]"))
    outcome = decide(depends, context, file="dvc_pipeline", stage="preprocess", path="x")
    assert outcome == stopped(
        Finding(
            message="DVC cannot read it: extra keys not allowed at stages.preprocess.depends",
            where="dvc.yaml:4",
        ),
        evidence=Evidence.STATIC,
    )


@pytest.mark.parametrize(
    ("params", "names", "verdict"),
    [
        (PARAMS, ["learning_rate", "n_estimators"], Verdict.PASSED),
        (NESTED, ["learning_rate", "n_estimators"], Verdict.PASSED),
        (
            "stages: [{learning_rate: 1}, {n_estimators: 2}]",
            ["learning_rate", "n_estimators"],
            Verdict.PASSED,
        ),
        ("learning_rate: 1e-3", ["learning_rate"], Verdict.PASSED),
        ("learning_rate:", ["learning_rate"], Verdict.FAILED),
        ("learning_rate: {a: 1}", ["learning_rate"], Verdict.FAILED),
        ("learning-rate: 1", ["learning_rate"], Verdict.FAILED),
        ("# learning_rate: 1", ["learning_rate"], Verdict.FAILED),
        ("[learning_rate, 1]", ["learning_rate"], Verdict.FAILED),
        ("learning_rate: 1\n---\na: 1", ["learning_rate"], Verdict.FAILED),
        ("a: &a [*a]", ["a"], Verdict.FAILED),
        ("a: [", ["a"], Verdict.FAILED),
        (b"\xff", ["a"], Verdict.FAILED),
        ("1: {null: {learning_rate: 2}}", ["learning_rate"], Verdict.PASSED),
    ],
)
def test_params_hold(tmp_path: Path, params: str | bytes, names: list[str], verdict: Verdict) -> None:
    context = pipeline(tmp_path, "stages: {}", params)
    assert decide(params_hold, context, file="params", names=names).verdict is verdict


TAKEN = {
    "keys": (PARAMS, one("params: [learning_rate, n_estimators]")),
    "nested keys": (NESTED, one("params: [model.train.learning_rate, model.train.n_estimators]")),
    "a section": (NESTED, one("params: [model.train]")),
    "a section above": (NESTED, one("params: [model]")),
    "a mapping": (PARAMS, one("params: [params.yaml: [learning_rate, n_estimators]]")),
    "the whole file": (PARAMS, one("params: [params.yaml: ]")),
    "an empty list": (PARAMS, one("params: [params.yaml: []]")),
    "through wdir": (PARAMS, one("wdir: src", "params: [../params.yaml: [learning_rate, n_estimators]]")),
    "templates": (PARAMS, "stages: {train: {cmd: 'x --lr ${learning_rate} -n ${n_estimators}'}}"),
    "in two stages": (
        PARAMS,
        "stages:\n  a: {cmd: x, params: [learning_rate]}\n  b: {cmd: x, params: [n_estimators]}\n",
    ),
    "a key that the file lacks": ("n_estimators: 3", one("params: [learning_rate, n_estimators]")),
    "in a list": (
        "m: [{learning_rate: 1, n_estimators: 2}]",
        one("params: [m.0.learning_rate, m.0.n_estimators]"),
    ),
}


@pytest.mark.parametrize(("params", "text"), TAKEN.values(), ids=TAKEN)
def test_params_taken(tmp_path: Path, params: str, text: str) -> None:
    assert taken(pipeline(tmp_path, text, params)) is Verdict.PASSED


NOT_TAKEN = {
    "none": (PARAMS, one()),
    "one": (PARAMS, one("params: [n_estimators]")),
    "flat keys of a nested file": (NESTED, one("params: [learning_rate, n_estimators]")),
    "another section": (NESTED, one("params: [paths]")),
    "another file": (PARAMS, one("params: [config.yaml: [learning_rate, n_estimators]]")),
    "from another folder": (PARAMS, one("wdir: src", "params: [learning_rate, n_estimators]")),
    "wrong types": (
        PARAMS,
        one("params: [{params.yaml: 3}, {1: 2}, {params.yaml: {a: 1}}]", "frozen: false"),
    ),
    "in the command only": (PARAMS, "stages: {train: {cmd: 'x --learning_rate 0.1 --n_estimators 3'}}"),
    "values of its own": (
        "other: 1",
        (
            "vars: [{learning_rate: 1, n_estimators: 2}]\n"
            "stages: {a: {cmd: 'x ${learning_rate} ${n_estimators}'}}"
        ),
    ),
}


@pytest.mark.parametrize(("params", "text"), NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_params_not_taken(tmp_path: Path, params: str, text: str) -> None:
    assert taken(pipeline(tmp_path, text, params)) is Verdict.FAILED


def test_without_a_file_nothing_is_taken_from_it(tmp_path: Path) -> None:
    assert taken(pipeline(tmp_path, one("params: [learning_rate, n_estimators]"), None)) is Verdict.FAILED


def test_reading_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = "stages:\n  preprocess:\n    foreach: [1, 2]\n    do: {cmd: 'x ${item}'}\n"
    dep(pipeline(tmp_path, text, "item: 1\nkey: 2\n"))
    assert capfd.readouterr() == ("", "")


def test_findings_have_no_terminal_codes(tmp_path: Path) -> None:
    context = pipeline(tmp_path, one("deps: ['${', '${}']"))
    outcome = decide(depends, context, file="dvc_pipeline", stage="preprocess", path="x")
    assert "\x1b" not in outcome.findings[0].message


def test_a_path_on_the_disk_is_told_as_written(tmp_path: Path) -> None:
    written = [
        section("near", "../../store"),
        section("inner", "remote://near/x"),
        section("far", "/abs/store"),
    ]
    context = make_context(
        tmp_path, {".dvc/config": "".join(written)}, deliverables={"dvc_config": ".dvc/config"}
    )
    outcome = decide(remote_url, context, file="dvc_config", url=URL)
    assert [finding.actual for finding in outcome.findings] == [
        "near: ../../store, inner: ../../store/x, far: /abs/store"
    ]
