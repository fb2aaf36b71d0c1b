from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from grader.checks.batch import checks as batch
from grader.checks.batch.scenarios import Scored, loaded
from grader.checks.batch.tables import Comparison, Output, compare, is_time, parse, value
from grader.checks.mlflow.world import input_rows
from grader.checks.scripts.call import Called
from grader.context import Context, Memo
from grader.results import Evidence, Outcome, Verdict
from grader.runtime.sandbox.model import Ended, Run
from tests.builders import decide, make_context
from tests.checks.live import live_context, lost, names, parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.checks.batch.scenarios import Batch

ASKED: Batch = parameters("B1", "batch.rows")["scenario"]


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        "2026-11-23T07:00:00+00:00",
        "2026-11-23 07:00:00.123456",
        "2026-11-23 07:00:00.123456789",
        "2026-11-23T07:00:00Z",
        "2026-11-23 07:00:00 UTC",
        "23/11/2026 07:00:00",
        "07:00:01",
        "1795330000.25",
        "0.003",
        "0 days 00:00:01.5",
        "12 ms",
        "0.5s",
        "Mon Nov 23 07:00:00 2026",
    ],
)
def test_times(cell: str) -> None:
    assert is_time(cell)


@pytest.mark.parametrize(
    "cell", ["", "nan", "NaT", "now", "-1", "inf", "True", "yesterday at noon", "s", "1 day"]
)
def test_no_times(cell: str) -> None:
    assert not is_time(cell)


def test_values() -> None:
    assert value("1") == value(1.0) == value(" 1.00 ") == value(True)
    assert value("91.139999") == value("91.14")
    assert value("NaN") is None is value("")
    assert value("inf") is None
    assert value("churn") == "churn"


def test_tables() -> None:
    table = parse("o.csv", b"\xef\xbb\xbfa,b\n1,2\n\n3\na,b\n5,6,7\n")
    assert table is not None
    assert (table.header, table.rows, table.repeated_headers) == (
        ("a", "b"),
        [["1", "2"], ["3"], ["5", "6", "7"]],
        1,
    )
    assert (table.column("b"), table.column("c")) == (["2", "", "6"], None)
    semicolons = parse("o.csv", b"a;b\n1;2\n")
    assert semicolons is not None
    assert semicolons.header == ("a", "b")


def test_a_table_without_a_header() -> None:
    table = parse("o.csv", b"1,2.5,,2026-11-23 07:00:01\n3,4,0,\n")
    assert table is not None
    assert (table.named, table.header[3], table.column("column 2")) == (False, "column 4", ["2.5", "4"])


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": null}\n{"a": 2, "b": "x"}\n',
        '[{"a": 1, "b": null}, {"a": 2, "b": "x"}]',
        '{"a": {"0": 1, "1": 2}, "b": {"0": null, "1": "x"}}',
    ],
)
def test_a_table_in_json(text: str) -> None:
    table = Output(path="o", header=("a", "b"), rows=[["1", ""], ["2", "x"]], csv=False)
    assert parse("o", text.encode()) == table


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe\x00", b"\0\0\0", b'{"a": 1}', b"[1]", b"\n\n", b'"' + b"x" * 200_000]
)
def test_no_table(data: bytes) -> None:
    assert parse("o", data) is None


ROWS = [("1", "2.5"), ("1", "2.5"), ("3", ""), ("4", "0.5")]
PREDICTED = {"right": (0, 0, 1, 1), "other": (1, 1, 0, 0)}


def compared(rows: list[list[str]], header: tuple[str, ...] = ("a", "b", "p")) -> Comparison:
    output = Output(path="o", header=header, rows=rows)
    return compare(output, output.column("p"), ("a", "b"), ROWS, PREDICTED)


def test_rows_in_any_order() -> None:
    rows = [["4.0", "0.50", "1.0"], ["3", "nan", "0"], ["1", "2.5", "0"], ["1", "2.5", "0"]]
    assert compared(rows) == Comparison(
        missing=0, extra=0, agreement={"right": 1.0, "other": 0.0}, values=2, informed=True
    )


def test_rows_missing_and_too_many() -> None:
    rows = [["4", "0.5", "1"], ["4", "0.5", ""], ["9", "9", "1"], ["1", "2.5", "0"]]
    found = compared(rows)
    assert (found.missing, found.extra, found.empty) == (2, 2, 1)


def test_without_the_columns_the_order_decides() -> None:
    found = compared([["0"], ["0"], ["1"], ["1"]], header=("p",))
    assert found == Comparison(
        missing=0, extra=0, agreement={"right": 1.0, "other": 0.0}, values=2, informed=True
    )
    assert compared([["0"]], header=("p",)).missing == 3
    assert compared([["0"]] * 5, header=("p",)).extra == 1


@pytest.mark.parametrize(
    ("said", "informed"), [("0011", True), ("1100", True), ("0001", True), ("0101", False), ("yyyn", False)]
)
def test_whether_predictions_know_their_rows(said: str, informed: bool) -> None:
    given = [(str(n), str(n)) for n in range(4)]
    out = Output(path="o", header=("a", "b"), rows=[list(row) for row in given])
    predicted = {"right": (0, 0, 1, 1), "other": (1, 1, 0, 0)}
    assert compare(out, list(said), ("a", "b"), given, predicted).informed is informed


@pytest.mark.parametrize(
    ("agreeing_rows", "informed"),
    [
        ({(0, 0): 850, (0, 1): 50, (1, 0): 50, (1, 1): 50}, True),
        ({(0, 0): 810, (0, 1): 90, (1, 0): 90, (1, 1): 10}, False),
        ({(0, 0): 900, (0, 1): 0, (1, 0): 100, (1, 1): 0}, False),
        ({(0, 0): 0, (0, 1): 900, (1, 0): 100, (1, 1): 0}, False),
        ({(0, 0): 300, (0, 1): 200, (1, 0): 200, (1, 1): 300}, True),
        ({(0, 0): 260, (0, 1): 240, (1, 0): 240, (1, 1): 260}, False),
    ],
    ids=["rare class found", "rare class by chance", "commonest", "inverse", "own model", "hashes"],
)
def test_agreement_beyond_chance(agreeing_rows: dict[tuple[int, int], int], informed: bool) -> None:
    """The first of each pair is the model's prediction, the second the script's."""
    pairs = [pair for pair, count in agreeing_rows.items() for _ in range(count)]
    given = [(str(n), str(n)) for n in range(len(pairs))]
    out = Output(path="o", header=("a", "b"), rows=[list(row) for row in given])
    predicted = {"right": tuple(right for right, _ in pairs)}
    said = [str(own) for _, own in pairs]
    assert compare(out, said, ("a", "b"), given, predicted).informed is informed


def test_the_two_findings_on_predictions_agree() -> None:
    def said(seen: Scored) -> list[tuple[str, str]]:
        outcomes = (batch.judge_registry(seen, ASKED, "Production"), batch.judge_rows(seen, ASKED))
        return [(each.message, each.actual) for outcome in outcomes for each in outcome.findings]

    none = "the predictions do not match any model in the registry"
    chance = "no model of the registry agrees with them better than by chance"
    assert said(wrote(agreeing(0.7))) == [
        (none, "those of another model, which agrees with the registry's only in part")
    ]
    assert said(wrote(agreeing(0.5, informed=False))) == [
        (none, ""),
        ("the predictions have nothing to do with the rows", chance),
    ]
    assert said(wrote(agreeing(0.5, values=1, informed=False))) == [
        (none, ""),
        ("every row has the same prediction", chance),
    ]


def test_input_rows() -> None:
    world = ASKED.world.changed(rows=300, more_rows=50)
    data = b"a,b,target\n" + b"\n".join(b"%d,%d.5,1" % (n, n) for n in range(90)) + b"\n7,,0\n"
    columns, rows = input_rows(data, world, 1)
    assert columns == ("a", "b")
    assert 300 <= len(rows) < 350
    assert 0 < len(rows) - len(set(rows)) < 40
    assert {row for row in rows if not all(row)} == {row for row in rows if not row[1]} != set()
    assert input_rows(data, world, 1)[1] == rows != input_rows(data, world, 2)[1]


# --- judgements -----------------------------------------------------------------------------------


def scored(*, ok: bool = True, **fields: Any) -> Scored:
    ended = Run(argv=("x",), ended=Ended.EXITED, returncode=0 if ok else 1)
    called = Called(argv=("python", "b.py"), run=ended, traceback=None)
    return Scored(**{"called": called, "columns": ("a", "b"), "rows": 24_123, **fields})


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ((10_000, 10_000, 4_123), Verdict.PASSED),
        ((10_000,), Verdict.PASSED),
        ((1, 10_000, 10_000, 4_123), Verdict.PASSED),
        ((24_123, 10_000, 10_000, 4_123), Verdict.PASSED),
        ((24_123,), Verdict.FAILED),
        ((5_000, 5_000, 5_000, 5_000, 4_123), Verdict.FAILED),
        ((24_123, 10_000), Verdict.FAILED),
        ((20_000, 4_123), Verdict.FAILED),
        ((), None),
        ((0,), None),
        ((5,), None),
    ],
)
def test_pieces(reads: tuple[int, ...], expected: Verdict | None) -> None:
    outcome = batch.judge_chunks(scored(reads=reads), 10_000)
    assert (outcome and outcome.verdict) == expected


PRODUCTION, STAGING, LATER = "deft-crane", "plain-shrew", "even-mole"


def output(header: str = "a,b,prediction,prediction_time", times: str = "07:00:01", **fields: Any) -> Output:
    columns = tuple(header.split(","))
    row = [times if name == "prediction_time" else "1" for name in columns]
    return Output(**{"path": "o.csv", "header": columns, "rows": [row] * 3, **fields})


def agreeing(straight: float, flipped: float = 0.1, shuffled: float = 0.5, **fields: Any) -> Comparison:
    agreement = {"straight": straight, "flipped": flipped, "shuffled": shuffled}
    return Comparison(
        **{"missing": 0, "extra": 0, "agreement": agreement, "values": 2, "informed": True, **fields}
    )


def losses(seen: Scored) -> set[str]:
    outcomes: dict[str, Outcome] = {
        "registry": batch.judge_registry(seen, ASKED, "Production"),
        "rows": batch.judge_rows(seen, ASKED),
        "columns": batch.judge_columns(seen, "prediction", "prediction_time"),
        "output": batch.judge_output(seen),
    }
    return {name for name, outcome in outcomes.items() if outcome.verdict is not Verdict.PASSED}


def wrote(comparison: Comparison, out: Output | None = None, **fields: Any) -> Scored:
    return scored(**{"output": out or output(), "column": "prediction", "comparison": comparison, **fields})


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (wrote(agreeing(1.0)), set()),
        (wrote(agreeing(1.0), ok=False), set()),
        (wrote(agreeing(0.1, flipped=1.0)), {"registry"}),
        (wrote(agreeing(0.5, shuffled=1.0), downloaded=(LATER,)), {"registry"}),
        (wrote(agreeing(0.97)), {"registry"}),
        (wrote(agreeing(0.5, informed=False)), {"registry", "rows"}),
        (wrote(agreeing(0.6), downloaded=(PRODUCTION,)), {"rows"}),
        (wrote(agreeing(0.999)), {"rows"}),
        (wrote(agreeing(1.0, missing=4123)), {"rows"}),
        (wrote(agreeing(1.0, extra=2)), {"rows"}),
        (wrote(agreeing(1.0, empty=1)), {"rows"}),
        (wrote(agreeing(0.6, values=1)), {"registry", "rows"}),
        (wrote(agreeing(1.0), output("a,b,pred,prediction_time"), column="pred"), {"columns"}),
        (wrote(agreeing(1.0), output("a,b,prediction")), {"columns"}),
        (wrote(agreeing(1.0), output(times="soon")), {"columns"}),
        (wrote(agreeing(1.0), output(rows=[])), {"columns"}),
        (wrote(agreeing(1.0), output("prediction,prediction_time")), {"output"}),
        (wrote(agreeing(1.0), output(repeated_headers=2)), {"rows"}),
        (wrote(agreeing(1.0), output(csv=False)), {"output"}),
        (scored(), {"registry", "rows", "columns", "output"}),
        (scored(ok=False, wrote=("a.parquet",)), {"registry", "rows", "columns", "output"}),
        (scored(downloaded=(PRODUCTION,)), {"rows", "columns", "output"}),
    ],
)
def test_what_a_scoring_loses(seen: Scored, expected: set[str]) -> None:
    assert losses(seen) == expected


def test_headers_between_the_rows_are_counted_as_a_reader_of_csv_does() -> None:
    (finding,) = batch.judge_rows(wrote(agreeing(1.0), output(repeated_headers=2)), ASKED).findings
    assert finding.actual == "5 rows: 0 missing, 2 extra, 2 of which repeat the header"


def test_no_output_at_all_is_one_mistake() -> None:
    nothing = scored(ok=False)
    outcomes = (
        batch.judge_registry(nothing, ASKED, "Production"),
        batch.judge_rows(nothing, ASKED),
        batch.judge_columns(nothing, "prediction", "prediction_time"),
        batch.judge_output(nothing),
    )
    assert {outcome.cause for outcome in outcomes} == {"the script wrote no predictions"}


def test_which_model_was_loaded() -> None:
    assert loaded(wrote(agreeing(1.0)), ASKED) == PRODUCTION
    assert loaded(scored(downloaded=(STAGING, PRODUCTION)), ASKED) == ""
    assert loaded(scored(downloaded=(STAGING,)), ASKED) == STAGING


def test_without_running_the_source_decides_on_chunks(root: Path) -> None:
    source = "import pandas as pd\nfor c in pd.read_csv('x.csv', chunksize=10_000): print(c)"
    context = make_context(root, {"b.py": source}, deliverables={"batch": "b.py"})
    outcome = decide(batch.chunks, context, **parameters("B1", "batch.chunks"))
    assert (outcome.verdict, outcome.evidence) == (Verdict.PASSED, Evidence.STATIC)


# --- real batch scoring ---------------------------------------------------------------------------

PLAIN = """
from datetime import datetime
import mlflow
import pandas as pd

model = mlflow.sklearn.load_model("models:/ExamClassifier/Production")
first = True
for chunk in pd.read_csv("data/current.csv", chunksize=10000):
    chunk["prediction"] = model.predict(chunk.astype(float))
    chunk["prediction_time"] = datetime.now()
    chunk.to_csv("scored.csv", mode="w" if first else "a", header=first, index=False)
    first = False
"""
WHOLE = """
import argparse, time
import mlflow.pyfunc
import pandas as pd

parser = argparse.ArgumentParser()
parser.add_argument("source")
parser.add_argument("--out", required=True)
options = parser.parse_args()
model = mlflow.pyfunc.load_model("models:/ExamClassifier/Production")
parts = []
reader = pd.read_csv(options.source, iterator=True)
while True:
    try:
        part = reader.get_chunk(10000)
    except StopIteration:
        break
    features = part.fillna(part.median())
    parts.append(part.assign(prediction=model.predict(features), prediction_time=time.time()))
pd.concat(parts).sample(frac=1).to_csv(options.out)
"""
TARGET = """    chunk = chunk.drop(columns=["target"])
    chunk["prediction"]"""
CSV = """
import csv, time
import mlflow, pandas as pd
mlflow.set_tracking_uri("http://127.0.0.1:5000")
model = mlflow.sklearn.load_model("models:/ExamClassifier/Production")
def chunks(rows, size=10_000):
    some = []
    for row in rows:
        some.append(row)
        if len(some) == 10_000:
            yield some
            some = []
    if some:
        yield some
with open("data/baseline.csv") as source, open("out.csv", "w") as out:
    reader = csv.DictReader(source)
    writer = csv.writer(out)
    writer.writerow([*reader.fieldnames, "prediction", "prediction_time"])
    for some in chunks(reader):
        frame = pd.DataFrame(some).replace("", None).astype(float)
        for row, said in zip(some, model.predict(frame)):
            writer.writerow([*row.values(), said, time.time()])
"""
NOTHING = set(names("B1"))

VARIANTS: dict[str, tuple[str, set[str]]] = {
    "plain.py": (PLAIN, set()),
    "arguments.py": (WHOLE, set()),
    "csv_module.py": (CSV, set()),
    "elsewhere.py": (PLAIN.replace("data/current.csv", "data/incoming/new_customers.csv"), set()),
    "labelled.py": (
        PLAIN.replace("data/current.csv", "data/train.csv").replace('    chunk["prediction"]', TARGET, 1),
        set(),
    ),
    "labelled_elsewhere.py": (
        PLAIN.replace("data/current.csv", "data/new.csv").replace('    chunk["prediction"]', TARGET, 1),
        set(),
    ),
    "by_the_client.py": (
        PLAIN.replace(
            'mlflow.sklearn.load_model("models:/ExamClassifier/Production")',
            "mlflow.sklearn.load_model(mlflow.MlflowClient().get_latest_versions('ExamClassifier', "
            "stages=['Production'])[0].source)",
        ),
        set(),
    ),
    "over_the_input.py": (
        PLAIN.replace("first = True", "first = True\nparts = []").replace(
            'chunk.to_csv("scored.csv", mode="w" if first else "a", header=first, index=False)',
            "parts.append(chunk)",
        )
        + "pd.concat(parts).to_csv('data/current.csv', index=False)",
        set(),
    ),
    "staging.py": (PLAIN.replace("Production", "Staging"), {"B1.registry"}),
    "latest.py": (PLAIN.replace("Production", "latest"), {"B1.registry"}),
    "alias.py": (PLAIN.replace("/Production", "@production"), {"B1.registry"}),
    "first_version.py": (PLAIN.replace("Production", "1"), {"B1.registry"}),
    "whole.py": (
        PLAIN.replace(
            'pd.read_csv("data/current.csv", chunksize=10000)', '[pd.read_csv("data/current.csv")]'
        ),
        {"B1.chunks"},
    ),
    "small_chunks.py": (PLAIN.replace("10000", "1000"), {"B1.chunks"}),
    "last_chunk.py": (
        PLAIN.replace(
            '    chunk["prediction"]', '    if len(chunk) < 10000:\n        break\n    chunk["prediction"]', 1
        ),
        {"B1.rows"},
    ),
    "drops_blanks.py": (
        PLAIN.replace("chunksize=10000)", "chunksize=10000):\n    chunk = chunk.dropna()#"),
        {"B1.rows"},
    ),
    "drops_repeated.py": (
        PLAIN.replace("chunksize=10000)", "chunksize=10000):\n    chunk = chunk.drop_duplicates()#"),
        {"B1.rows"},
    ),
    "last_only.py": (PLAIN.replace('mode="w" if first else "a", header=first', 'mode="w"'), {"B1.rows"}),
    "headers.py": (PLAIN.replace("header=first", "header=True"), {"B1.rows"}),
    "misaligned.py": (
        PLAIN.replace("model.predict(chunk.astype(float))", "pd.Series(model.predict(chunk.astype(float)))"),
        {"B1.rows"},
    ),
    "another_column.py": (PLAIN.replace('chunk["prediction"]', 'chunk["predicted"]'), {"B1.columns"}),
    "no_time.py": (PLAIN.replace("datetime.now()", "'now'"), {"B1.columns"}),
    "without_input.py": (
        PLAIN.replace("chunk.to_csv(", "chunk[['prediction', 'prediction_time']].to_csv("),
        {"B1.output"},
    ),
    "last_chunk_as_json.py": (
        PLAIN.replace("chunk.to_csv", "chunk.to_json").replace(
            ', mode="w" if first else "a", header=first, index=False', ""
        ),
        {"B1.rows", "B1.output"},
    ),
    "crashes.py": (PLAIN.replace("first = False", "raise ValueError(first)"), {"B1.rows"}),
    "another_name.py": (PLAIN.replace("ExamClassifier", "churn-model"), set()),
    "own_model.py": (
        PLAIN.replace(
            'mlflow.sklearn.load_model("models:/ExamClassifier/Production")',
            """__import__("sklearn.ensemble").ensemble.RandomForestClassifier(n_estimators=5)
known = pd.read_csv("data/raw/train.csv").head(2000)
model.fit(known.drop(columns="target").astype(float), known.target)""",
        ),
        # Five trees on the raw data know less of these rows than a constant does.
        {"B1.registry", "B1.rows"},
    ),
    "local_store.py": (
        PLAIN.replace("model =", "mlflow.set_tracking_uri('sqlite:///mlflow.db')\nmodel =", 1),
        set(),
    ),
    "says_so.py": ("print('prediction,prediction_time')", NOTHING),
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
def test_real_scoring(world: Context, name: str) -> None:
    assert set(lost(of(world, "batch", name), "B1")) == VARIANTS[name][1]


@pytest.mark.slow
def test_a_script_that_shows_no_reading_is_decided(world: Context) -> None:
    """It ran: that its source does not tell either is no fault of this machine."""
    outcome = lost(of(world, "batch", "says_so.py"), "B1")["B1.chunks"]
    assert (outcome.verdict, outcome.findings[0].message) == (
        Verdict.FAILED,
        "the script wrote no predictions",
    )
