from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from grader.checks.mlflow.mentions import Mentions, answer, mentions
from grader.checks.query import checks as query
from grader.checks.query.scenarios import Shown
from grader.checks.scripts.call import Called
from grader.checks.scripts.entry_points import Answered, acts, uncalled
from grader.context import Context, Memo
from grader.results import Evidence, Verdict
from grader.runtime.sandbox.model import Ended, Run
from grader.runtime.services.mlflow import RunInfo
from tests.builders import decide, make_context, make_submission
from tests.checks.live import live_context, lost, names, parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.checks.query.scenarios import Query

ASKED: Query = parameters("3.2", "query.top")["scenario"]


def test_three_tasks_share_one_world() -> None:
    asked = [("3.2", "query.top"), ("3.3", "registry.stage"), ("B1", "batch.rows")]
    worlds = [parameters(task, check)["scenario"].world for task, check in asked]
    assert worlds[0] == worlds[1] == worlds[2]


# --- which runs a text names ----------------------------------------------------------------------


def run(n: int, accuracy: float, *, experiment: str = "exam-training", active: bool = True) -> RunInfo:
    return RunInfo(
        id=f"{n:x}" * 32,
        name=f"calm-heron-{n}00",
        status="FINISHED",
        experiment=experiment,
        experiment_id="1",
        params={},
        metrics={"accuracy": accuracy, "f1": 0.5},
        tags={},
        artifact_uri="",
        active=active,
    )


A, B, C, D, E = (run(n, a) for n, a in ((10, 0.9412), (11, 0.9223), (12, 0.9131), (13, 0.8811), (14, 0.8723)))
LIMIT, LOW, FOREIGN = run(1, 0.85), run(2, 0.8213), run(3, 0.9812, experiment="another")
ALL_RUNS = (LOW, E, C, FOREIGN, A, LIMIT, B, D)


@pytest.mark.parametrize(
    ("text", "expected", "by"),
    [
        (f"{A.id} 0.94\n{B.id} 0.92", [A, B], "run id"),
        (f"{A.id[:8]}  {B.id[:8]}...", [A, B], "run id"),
        (f"mlflow-artifacts:/1/{A.id}/artifacts {A.id}", [A], "run id"),
        ("1. calm-heron-1000 (0.94)\n2. calm-heron-1100", [A, B], "run name"),
        (f"calm-heron-1000\ncalm-heron-1100\nbest: {A.id}", [A, B], "run name"),
        (f"best: {A.id} 0.9412", [A], "run id"),
        ("accuracy=0.9412, accuracy=0.9223", [A, B], "accuracy"),
        ("| 0.94 | 0.50 |\n| 0.92 | 0.50 |", [A, B], "accuracy"),
        ("94.1%, 92.23 % and 88%", [A, B, D], "accuracy"),
        ("[0.9412, 0.9223, 0.9131]", [A, B, C], "accuracy"),
        ("runs with accuracy > 0.85: 0.94", [A], "accuracy"),
        ("accuracy: 0.8500", [LIMIT], "accuracy"),
        ("'accuracy': 0.85, min accuracy 0.85", [LIMIT], "accuracy"),
        ("10.9412 x0.9412 0.9 0.94.12 version 2.94", [], ""),
        ("", [], ""),
        ("\0" * 100 + "f" * 100_000, [], ""),
    ],
)
def test_mentions(text: str, expected: list[RunInfo], by: str) -> None:
    assert mentions(text, ALL_RUNS, "accuracy", 0.85) == Mentions(tuple(expected), by)


@pytest.mark.parametrize(
    ("text", "guesses"),
    [
        ("\n".join(f"accuracy={n / 100:.2f}" for n in range(99, 85, -1)), 8),
        ("\n".join(f"{n / 100:.2f}" for n in range(99, 85, -1)), 8),
        (" ".join(f"{n / 100:.2f}" for n in range(99, 85, -1)), 8),
        ("\n".join(f"{n / 100:.2f}" for n in range(99, 85, -1) if n % 3), 4),
        ("| 0.94 | 0.50 |\n| 0.92 | 0.50 |", 0),
        ("accuracy=0.9412 f1=0.51\naccuracy=0.9223 f1=0.52", 0),
        ("0.9412\n0.9223\ntook 0.35 s", 1),
        (f"{A.id} 0.93\n{B.id} 0.95", 0),
    ],
)
def test_values_that_no_run_has(text: str, guesses: int) -> None:
    assert mentions(text, ALL_RUNS, "accuracy", 0.85).guesses == guesses


@pytest.mark.parametrize(
    ("text", "metric", "named"),
    [
        ("acc: 0.85", "accuracy", True),
        ("val_acc=0.8500", "accuracy", True),
        ("{'hit_share': 0.85}", "hit_share", True),
        ("best share = 0.850", "hit_share", True),
        ("acc: 0.85", "hit_share", False),
        ("min hit_share: 0.85, hit_share > 0.85", "hit_share", True),
        ("hits above: 0.85", "hit_share", False),
        ("F1 = 0.85", "f1", True),
        ("r2: 0.85", "f1", False),
    ],
)
def test_a_limit_is_a_value_where_the_metric_stands_before_it(text: str, metric: str, named: bool) -> None:
    run = replace(LIMIT, metrics={metric: 0.85})
    assert mentions(text, (run,), metric, 0.85).runs == ((run,) if named else ())


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([A, B, C], [A, B, C]),
        ([A, A, B, B], [A, B]),
        ([A, B, C, A, B, C], [A, B, C]),
        ([A, B, C, A], [A, B, C]),
        ([A, A, B, C], [A, B, C]),
        ([A, B, C, D, E, A, B, C], [A, B, C]),
        ([], []),
    ],
)
def test_the_answer_among_several_lists(named: list[RunInfo], expected: list[RunInfo]) -> None:
    assert list(answer(named)) == expected


# --- judgements -----------------------------------------------------------------------------------


def shown(*runs: RunInfo, asked: tuple[RunInfo, ...] = (), ok: bool = True, **fields: Any) -> Shown:
    ended = Run(argv=("x",), ended=Ended.EXITED, returncode=0 if ok else 1)
    called = Called(argv=("python", "q.py"), run=ended, traceback=None)
    fields = {"contacted": True, **fields}
    return Shown(
        file="q.py",
        answered=Answered(called=called),
        there=ALL_RUNS,
        mentions=Mentions(runs),
        asked=asked,
        **fields,
    )


JUDGES = {
    "experiment": query.judge_experiment,
    "filter": query.judge_filter,
    "order": query.judge_order,
    "top": query.judge_top,
}


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([A, B, C], set()),
        ([C, B, A], {"order"}),
        ([A, C, B], set()),
        ([E, D, C], {"order", "top"}),
        ([A, B, C, D, E], {"top"}),
        ([A, B, C, D, E, LIMIT], {"filter", "top"}),
        ([FOREIGN, A, B], {"experiment", "top"}),
        ([A], {"top"}),
        ([B, C], {"order", "top"}),
        ([LOW, C, D], {"filter", "order", "top"}),
    ],
)
def test_what_an_answer_loses(runs: list[RunInfo], expected: set[str]) -> None:
    seen = shown(*runs)
    assert query.is_answer(seen, ASKED)
    assert {name for name, judge in JUDGES.items() if judge(seen, runs, ASKED)} == expected


@pytest.mark.parametrize(
    "seen",
    [
        shown(),
        shown(D, E),
        shown(FOREIGN),
        shown(A, B, C, contacted=False),
        shown(A, registered=True),
        shown(asked=(A,), registered=True),
        shown(asked=(A, B, C), ok=False),
    ],
)
def test_what_is_no_answer(seen: Shown) -> None:
    assert not query.is_answer(seen, ASKED)
    assert query.shows_nothing(seen, ASKED).message


def test_fewer() -> None:
    there = (C, E, LIMIT, LOW)
    assert query.judge_few(replace(shown(C, E), there=there), ASKED) is None
    deleted = run(4, 0.97, active=False)
    assert query.judge_few(replace(shown(deleted), there=there), ASKED) is None
    for wrong in (shown(C, E, LIMIT), shown(C, E, LOW), shown(), shown(ok=False)):
        assert query.judge_few(replace(wrong, there=there), ASKED)


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "does", "functions"),
    [
        ("import mlflow\nmlflow.search_runs()", True, ()),
        ("def main():\n    search_runs()\nif __name__ == '__main__':\n    main()", True, ("main",)),
        ("def best(n=3):\n    return c.search_runs()\n", False, ("best",)),
        ("def best(n):\n    return c.search_runs(n)\n", False, ()),
        ("def a():\n    return b()\ndef b():\n    return search_runs()", False, ("a", "b")),
        ("def b():\n    return search_runs()\ndef a():\n    return b()", False, ("a", "b")),
        ("def other():\n    return 1", False, ()),
        ("from .tools import find\ndef best():\n    return find()", False, ("best",)),
        ("async def best():\n    return search_runs()", False, ()),
        ("def (", True, ()),
    ],
)
def test_entry_points(root: Path, source: str, does: bool, functions: tuple[str, ...]) -> None:
    file = make_submission(root, {"q.py": source}).file("q.py")
    assert file is not None
    assert (acts(file), uncalled(file, frozenset({"search_runs"}))) == (does, functions)


def test_without_running_the_source_decides(root: Path) -> None:
    source = """
        import mlflow
        mlflow.set_experiment("exam-training")
        print(mlflow.search_runs(filter_string="metrics.accuracy >= 0.85",
                                 order_by=["metrics.accuracy DESC"], max_results=3))
    """
    context = make_context(root, {"q.py": source}, deliverables={"query": "q.py"})
    found = lost(context, "3.2")
    assert set(found) == {"3.2.filter"}
    assert found["3.2.filter"].evidence is Evidence.STATIC


def test_without_a_query(root: Path) -> None:
    outcome = decide(query.top, make_context(root, {}), **parameters("3.2", "query.top"))
    assert outcome.verdict is Verdict.FAILED


# --- real queries ---------------------------------------------------------------------------------

IMPORT = "import mlflow\nfrom mlflow import MlflowClient\n"
SEARCH = (
    "mlflow.search_runs(experiment_names=['exam-training'], filter_string='metrics.accuracy > 0.85',"
    " order_by=['metrics.accuracy DESC'], max_results=3)"
)
EVERYTHING = set(names("3.2"))


def prints(old: str = "", new: str = "", *, end: str = "") -> str:
    """The search, changed in one place, and printed."""
    assert old in SEARCH
    return f"{IMPORT}print({SEARCH.replace(old, new) if old else SEARCH}{end})"


VARIANTS: dict[str, tuple[str, set[str]]] = {
    "printed_table.py": (prints(), set()),
    "some_columns.py": (prints(end="[['tags.mlflow.runName', 'metrics.accuracy']]"), set()),
    "values_only.py": (
        IMPORT + f"for a in {SEARCH}['metrics.accuracy']:\n    print(f'accuracy: {{a:.3f}}')",
        set(),
    ),
    "function_only.py": (IMPORT + f"def top_runs(n=3):\n    return {SEARCH}\n", set()),
    "function_of_a_list.py": (
        IMPORT + "mlflow.set_tracking_uri('http://127.0.0.1:5000')\n"
        f"def top_runs():\n    return [r for r in {SEARCH}['run_id']]\n",
        set(),
    ),
    "client.py": (
        IMPORT
        + """
mlflow.set_tracking_uri("http://localhost:5000")
client = MlflowClient()
experiment = client.get_experiment_by_name("exam-training")
for run in client.search_runs([experiment.experiment_id], "metrics.accuracy > 0.85",
                              order_by=["metrics.accuracy DESC"], max_results=3):
    print(run.info.run_name, round(run.data.metrics["accuracy"], 2))
""",
        set(),
    ),
    "in_python.py": (
        IMPORT
        + """
runs = mlflow.search_runs(experiment_names=["exam-training"])
good = runs[runs["metrics.accuracy"] > 0.85].sort_values("metrics.accuracy", ascending=False)
print(good.head(3).to_string())
""",
        set(),
    ),
    "name_of_the_host.py": (
        IMPORT + f"mlflow.set_tracking_uri('http://mlflow:5000')\nprint({SEARCH}.run_id.tolist())",
        set(),
    ),
    "logs.py": (
        IMPORT + f"import logging\nlogging.basicConfig(level=20)\nlogging.info('%s', {SEARCH}.to_dict())",
        set(),
    ),
    "to_a_file.py": (IMPORT + f"{SEARCH}.to_csv('top.csv')\nprint('done')", set()),
    "says_nothing.py": (IMPORT + f"best = {SEARCH}\nprint(len(best))", set()),
    "arguments.py": (
        IMPORT
        + """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--experiment", required=True)
options = parser.parse_args()
print(mlflow.search_runs(experiment_names=[options.experiment], filter_string="metrics.accuracy > 0.85",
                         order_by=["metrics.accuracy DESC"], max_results=3).run_id.to_string())
""",
        set(),
    ),
    "and_registers.py": (
        IMPORT
        + f"""
top = {SEARCH}
print(top[["run_id", "metrics.accuracy"]])
mlflow.register_model(f"runs:/{{top.run_id[0]}}/model", "ExamClassifier")
""",
        set(),
    ),
    "commands.py": (
        IMPORT
        + f"""
import argparse
parser = argparse.ArgumentParser()
parts = parser.add_subparsers(dest="part", required=True)
parts.add_parser("nothing")
parts.add_parser("best")
if parser.parse_args().part == "best":
    print({SEARCH})
""",
        set(),
    ),
    "commands_with_promotion.py": (
        IMPORT
        + f"""
import click
@click.group()
def cli():
    pass
@cli.command()
def promote():
    best = {SEARCH}.run_id[0]
    mlflow.register_model(f"runs:/{{best}}/model", "ExamClassifier")
@cli.command("best")
@click.option("--rows", default=3)
def best_runs(rows):
    print({SEARCH}.head(rows))
cli()
""",
        set(),
    ),
    "cli.sh": (
        """
id=$(mlflow experiments search | awk '$2 == "exam-training" {print $1}')
python - "$id" <<'END'
import sys, mlflow
print(mlflow.search_runs([sys.argv[1]], "metrics.accuracy > 0.85",
                         order_by=["metrics.accuracy DESC"], max_results=3).run_id.tolist())
END
""",
        set(),
    ),
    "request.sh": (
        """
id=$(python -c "
import mlflow
print(mlflow.get_experiment_by_name('exam-training').experiment_id)")
curl -s -X POST "$MLFLOW_TRACKING_URI/api/2.0/mlflow/runs/search" -H 'Content-Type: application/json' -d '{
  "experiment_ids": ["'$id'"], "filter": "metrics.accuracy > 0.85",
  "order_by": ["metrics.accuracy DESC"], "max_results": 3}'
""",
        set(),
    ),
    "everywhere.py": (
        prints("experiment_names=['exam-training']", "search_all_experiments=True"),
        {"3.2.experiment", "3.2.top3"},
    ),
    "of_default.py": (prints("exam-training", "Default"), EVERYTHING),
    "no_experiment.py": (
        prints("experiment_names=['exam-training'], "),
        EVERYTHING,
    ),
    "no_filter.py": (
        prints("filter_string='metrics.accuracy > 0.85',"),
        {"3.2.filter"},
    ),
    "at_the_limit.py": (prints(">", ">="), {"3.2.filter"}),
    "ascending.py": (prints("DESC", "ASC"), {"3.2.order", "3.2.top3"}),
    "unsorted.py": (
        prints(" order_by=['metrics.accuracy DESC'],"),
        {"3.2.order", "3.2.top3"},
    ),
    "by_f1.py": (
        prints("metrics.accuracy DESC", "metrics.f1 DESC"),
        {"3.2.order", "3.2.top3"},
    ),
    "worst_first.py": (prints(end="[::-1]"), {"3.2.order"}),
    "all.py": (prints(", max_results=3"), {"3.2.top3"}),
    "one.py": (prints("max_results=3", "max_results=1"), {"3.2.top3"}),
    "registers_the_best.py": (
        IMPORT
        + f"""
best = {SEARCH.replace("max_results=3", "max_results=1")}
print(best.run_id[0], best["metrics.accuracy"][0])
mlflow.register_model(f"runs:/{{best.run_id[0]}}/model", "ExamClassifier")
""",
        EVERYTHING,
    ),
    "three_or_nothing.py": (
        IMPORT + f"top = {SEARCH}\nfor n in range(3):\n    print(top.run_id[n])",
        set(),
    ),
    "crashes.py": (IMPORT + f"raise SystemExit(2)\nprint({SEARCH})", EVERYTHING),
    "made_up.py": ("for a in (0.9401, 0.9301, 0.9201):\n    print('accuracy', a)", EVERYTHING),
    "deletes.py": (
        IMPORT
        + f"""
import shutil
for run in {SEARCH}.run_id:
    mlflow.delete_run(run)
shutil.rmtree("/workspace", ignore_errors=True)
""",
        EVERYTHING,
    ),
    "local_store.py": (
        IMPORT + f"mlflow.set_tracking_uri('sqlite:///mlflow.db')\nprint({SEARCH})",
        set(),
    ),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """One submission with every variant in it, so that its seeds are made once."""
    root = tmp_path_factory.mktemp("variants")
    with live_context(
        root, {name: source for name, (source, _) in VARIANTS.items()}, deliverables={}
    ) as context:
        yield context


def of(context: Context, deliverable: str, path: str, seed: int = 0) -> Context:
    submission = replace(context.submission, deliverables={deliverable: PurePosixPath(path)})
    return replace(context, submission=submission, memo=Memo(), seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_real_queries(world: Context, name: str) -> None:
    if name == "request.sh" and shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    found = lost(of(world, "query", name), "3.2")
    assert set(found) == VARIANTS[name][1], json.dumps({k: str(v) for k, v in found.items()}, indent=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["printed_table.py", "by_f1.py", "everywhere.py"])
def test_another_seed_gives_the_same(world: Context, name: str) -> None:
    assert set(lost(of(world, "query", name, seed=1), "3.2")) == VARIANTS[name][1]


@pytest.mark.slow
def test_one_of_two_files_answers(root: Path) -> None:
    files = {
        "find_best.py": "import mlflow\ndef find(client, name):\n    return client.search_runs(name)\n",
        "register.py": VARIANTS["registers_the_best.py"][0],
        "report.py": VARIANTS["printed_table.py"][0],
    }
    assert _lost_of(root, files) == {}


SAVES = (
    IMPORT + "mlflow.search_runs(experiment_names=['exam-training']).to_csv('all_runs.csv', index=False)\n"
)
RANKS = (
    "import pandas as pd\nruns = pd.read_csv('all_runs.csv').query('`metrics.accuracy` > 0.85')\n"
    "print(runs.sort_values('metrics.accuracy', ascending=False).head(3)[['run_id']].to_string())\n"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        (RANKS, set()),
        (RANKS.replace("head(3)", "head(3)[::-1]"), {"3.2.order"}),
        (RANKS.replace(" > 0.85", " > 0"), {"3.2.filter"}),
        (RANKS.replace("all_runs", "others"), {"3.2.filter", "3.2.order", "3.2.top3"}),
    ],
    ids=["right", "worst first", "no filter", "another file"],
)
def test_one_answer_in_two_files(root: Path, ranks: str, expected: set[str]) -> None:
    assert set(_lost_of(root, {"fetch.py": SAVES, "rank.py": ranks})) == expected


@pytest.mark.slow
def test_the_better_of_two_answers_counts(root: Path) -> None:
    files = {"all.py": VARIANTS["all.py"][0], "report.py": VARIANTS["worst_first.py"][0]}
    assert set(_lost_of(root, files)) in ({"3.2.top3"}, {"3.2.order"})
    files = {"all.py": VARIANTS["all.py"][0], "report.py": VARIANTS["printed_table.py"][0]}
    assert _lost_of(root / "b", files) == {}


@pytest.mark.slow
def test_a_file_that_registers_too_may_answer(root: Path) -> None:
    files = {
        "find_best.py": "import mlflow\ndef find(client, name):\n    return client.search_runs(name)\n",
        **dict.fromkeys(("a.py", "b.py", "c.py"), "import find_best\n"),
        "register.py": VARIANTS["commands_with_promotion.py"][0],
    }
    assert _lost_of(root, files) == {}


def _lost_of(root: Path, files: dict[str, str]) -> dict[str, object]:
    """What is lost where the first file is the likeliest, and `register.py` the registration."""
    taken = {"register": "register.py", "a": "a.py", "b": "b.py", "c": "c.py"}
    deliverables = {name: path for name, path in taken.items() if path in files}
    with live_context(root, files, deliverables={"query": next(iter(files)), **deliverables}) as context:
        alternatives = {"query": tuple(map(PurePosixPath, files))}
        submission = replace(context.submission, alternatives=alternatives)
        return dict(lost(replace(context, submission=submission), "3.2"))
