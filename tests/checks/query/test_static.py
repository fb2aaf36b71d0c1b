from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from grader.checks.query import static as query_source
from grader.exam.bundled import RUBRICS
from grader.results import Evidence, Outcome
from tests.builders import decide, make_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.context import Context

GOOD = """
    import mlflow
    print(mlflow.search_runs(experiment_names=["exam-training"], filter_string="metrics.accuracy > 0.85",
                             order_by=["metrics.accuracy DESC"], max_results=3))
"""


def outcomes(context: Context) -> list[Outcome]:
    return [
        decide(query_source.experiment, context, file="query", experiment="exam-training"),
        decide(query_source.filtered, context, file="query", metric="accuracy", above=0.85),
        decide(query_source.ordered, context, file="query", metric="accuracy"),
        decide(query_source.top, context, file="query", count=3, metric="accuracy", above=0.85),
    ]


def asked(root: Path, source: str | bytes, name: str = "q.py", **more: str) -> str:
    """A letter for each of experiment, filter, order and top: Passed, Failed or Unverified."""
    files: Mapping[str, str | bytes] = {name: source} | {f"{key}.py": text for key, text in more.items()}
    context = make_context(root, files, deliverables={"query": name})
    return "".join(outcome.verdict[0].upper() for outcome in outcomes(context))


@pytest.mark.parametrize(
    "source",
    [
        GOOD,
        """
        from mlflow.tracking import MlflowClient
        c = MlflowClient()
        e = c.get_experiment_by_name("exam-training")
        c.search_runs([e.experiment_id], "metrics.accuracy > 0.85", 1, 3, ["metrics.accuracy DESC"])
        """,
        """
        import mlflow, os
        E, T, M = os.getenv("E", "exam-training"), 0.85, "accuracy"
        def best(name, threshold=T, n=3):
            e = mlflow.get_experiment_by_name(name)
            return mlflow.search_runs([e.experiment_id], order_by=[f"metrics.{M} DESC"], max_results=n,
                filter_string=f"metrics.{M} > {threshold} and attributes.status = 'FINISHED'")
        best(E)
        """,
        """
        import argparse, mlflow
        p = argparse.ArgumentParser()
        p.add_argument("--experiment", default="exam-training")
        p.add_argument("--min", dest="least", default=0.85)
        a = p.parse_args()
        Q = dict(experiment_names=[a.experiment], filter_string="metrics.`accuracy` > %s" % a.least,
                 order_by=["metrics.accuracy desc", "start_time DESC"], max_results=3)
        mlflow.search_runs(**Q)
        """,
        """
        import mlflow
        mlflow.set_experiment("exam-training")
        df = mlflow.search_runs()
        df[df["metrics.accuracy"] > 0.85].sort_values("metrics.accuracy", ascending=False).head(3)
        """,
        """
        from mlflow import MlflowClient
        import config
        c = MlflowClient()
        [e] = c.search_experiments(filter_string="name = 'exam-training'")
        runs = c.search_runs(experiment_ids=[e.experiment_id])
        runs = [r for r in runs if config.T < r.data.metrics["accuracy"]]
        print(sorted(runs, key=lambda r: -r.data.metrics["accuracy"])[:3])
        """,
    ],
)
def test_right_queries(tmp_path: Path, source: str) -> None:
    assert asked(tmp_path, source, config="T = 0.85\n") == "PPPP"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("exam-training", "exam", "FPPP"),
        ('["exam-training"]', '["exam-training", "other"]', "FPPP"),
        ('experiment_names=["exam-training"]', "search_all_experiments=True", "FPPP"),
        ('experiment_names=["exam-training"]', 'experiment_ids=["0"]', "FPPP"),
        ('experiment_names=["exam-training"],', "", "FPPP"),
        ("> 0.85", ">= 0.85", "PFPP"),
        ("> 0.85", "> 0.8", "PFPP"),
        ("metrics.accuracy >", "metrics.f1 >", "PFPU"),
        ("accuracy DESC", "accuracy ASC", "PPFP"),
        ("accuracy DESC", "accuracy", "PPFP"),
        ('["metrics.accuracy DESC"]', "[]", "PPFU"),
        ("max_results=3", "max_results=1", "PPPF"),
        ("max_results=3", "max_results=10", "PPPF"),
        ("max_results=3", "max_results=n()", "PPPU"),
        ('["metrics.accuracy DESC"]', "order()", "PPUU"),
        ('"metrics.accuracy > 0.85"', "condition()", "PUPU"),
        ('["exam-training"]', "names()", "UPPP"),
    ],
)
def test_one_defect_at_a_time(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert asked(tmp_path, GOOD.replace(old, new)) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import mlflow\nmlflow.search_runs()\n", "FFFF"),
        ("print(1)\n", "UUUU"),
        ("def (", "FFFF"),
        (b"\xff", "FFFF"),
        ("search_runs(filter_string=1, order_by={}, max_results='3', experiment_names=[[2]])", "FUUU"),
        ("import mlflow\nmlflow.search_runs(*a, **b, **{**c, 1: 2})", "UUUU"),
    ],
)
def test_odd_sources(tmp_path: Path, source: str | bytes, expected: str) -> None:
    assert asked(tmp_path, source) == expected


def test_shell_scripts(tmp_path: Path) -> None:
    heredoc = (
        f"#!/bin/sh\npython - <<'EOF'\n{GOOD.replace('    ', '').replace(chr(10) + 'order', 'order')}\nEOF\n"
    )
    assert asked(tmp_path, heredoc, "q.sh") == "PPPP"
    rest = """
        ID=$(curl -s "$U/api/2.0/mlflow/experiments/get-by-name?experiment_name=exam-training" | jq -r .x)
        curl $U/api/2.0/mlflow/runs/search -d '{
          "experiment_ids": ["'$ID'"], "filter": "metrics.accuracy > 0.85",
          "order_by": ["metrics.accuracy DESC"], "max_results": 3}'
    """
    assert asked(tmp_path, rest, "q.sh") == "PPPP"
    assert asked(tmp_path, f"# Best runs\n\n```bash\n{rest}\n```\n", "README.md") == "PPPP"
    assert asked(tmp_path, "mlflow runs list --experiment-id 1\n", "q.sh") == "UUUU"


def test_the_better_of_two_counts(tmp_path: Path) -> None:
    assert asked(tmp_path, GOOD.replace("> 0.85", "> 0.1") + GOOD) == "PPPP"
    context = make_context(
        tmp_path,
        {"q.py": "import mlflow\nmlflow.search_runs()\n", "r.py": GOOD},
        deliverables={"query": "q.py"},
    )
    both = (PurePosixPath("q.py"), PurePosixPath("r.py"))
    context = replace(context, submission=replace(context.submission, alternatives={"query": both}))
    assert [outcome.verdict.value for outcome in outcomes(context)] == ["passed"] * 4


def test_a_file_with_another_job_answers_for_no_other(tmp_path: Path) -> None:
    files: Mapping[str, str | bytes] = {"q.py": "import mlflow\nmlflow.search_runs()\n", "r.py": GOOD}
    context = make_context(tmp_path, files, deliverables={"query": "q.py", "register": "r.py"})
    both = (PurePosixPath("q.py"), PurePosixPath("r.py"))
    context = replace(context, submission=replace(context.submission, alternatives={"query": both}))
    assert [outcome.verdict.value for outcome in outcomes(context)] == ["failed"] * 4


def test_it_says_that_it_was_read(tmp_path: Path) -> None:
    context = make_context(tmp_path, {"q.py": GOOD}, deliverables={"query": "q.py"})
    first = outcomes(context)[0]
    assert (first.evidence, first.findings[0].message) == (Evidence.STATIC, "the query was read, not run")


def test_without_a_query(tmp_path: Path) -> None:
    assert [outcome.verdict.value for outcome in outcomes(make_context(tmp_path, {}))] == ["failed"] * 4


def test_the_reference(tmp_path: Path) -> None:
    source = (RUBRICS.parent / "reference_solution/src/query_best.py").read_text(encoding="utf-8")
    assert asked(tmp_path, source) == "PPPP"
