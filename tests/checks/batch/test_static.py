from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.checks.batch.static import chunks
from grader.exam.bundled import RUBRICS
from grader.results import Evidence, Outcome, Verdict
from tests.builders import decide, make_context

if TYPE_CHECKING:
    from pathlib import Path

PANDAS = "import pandas as pd\n"
READS = PANDAS + "SIZE = 10_000\ndef chunks(path):\n    yield from pd.read_csv(path, chunksize=SIZE)\n"


def asked(root: Path, source: str | bytes) -> Outcome:
    files: dict[str, str | bytes] = {"src/b.py": source, "src/helper.py": READS}
    return decide(
        chunks, make_context(root, files, deliverables={"batch": "src/b.py"}), file="batch", rows=10000
    )


@pytest.mark.parametrize(
    "source",
    [
        PANDAS + "pd.read_csv('x', chunksize=10_000)",
        PANDAS + "N = 10 * 1000\npd.read_csv('x', chunksize=N)",
        PANDAS + "def f(p, size: int = 10000):\n    pd.read_csv(p, chunksize=size)\nf('x')",
        PANDAS + "p.add_argument('--chunk-size', default=10000)\nf = p.parse_args()\n"
        "def g(n): pd.read_csv('x', chunksize=n)\ng(f.chunk_size)",
        PANDAS + "r = pd.read_csv('x', iterator=True)\nr.get_chunk(10000)",
        PANDAS + "while 1: pd.read_csv('x', skiprows=k, nrows=10000)",
        PANDAS + "import functools\nread = functools.partial(pd.read_csv, chunksize=10000)",
        "import pyarrow.parquet as pq\npq.ParquetFile('x').iter_batches(batch_size=10000)",
        "import polars as pl\npl.read_csv_batched('x', batch_size=10000)",
        "from itertools import islice\nwhile rows := list(islice(r, 10_000)): pass",
        "for row in csv.reader(f):\n    rows.append(row)\n    if len(rows) >= 10000: pass",
        "from helper import chunks\nfor c in chunks('x'): pass",
    ],
)
def test_ten_thousand_rows(tmp_path: Path, source: str) -> None:
    outcome = asked(tmp_path, source)
    assert (outcome.verdict, outcome.evidence) == (Verdict.PASSED, Evidence.STATIC)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (PANDAS + "# chunksize=10000\npd.read_csv('x')", "the input is read in one go"),
        (PANDAS + "d = pd.read_csv('x')\nd.iloc[0:10000]", "the input is read in one go"),
        (PANDAS + "pd.read_csv('x', chunksize=1000)", "the chunks have the wrong size"),
        ("def (", "not valid Python: invalid syntax"),
        (b"\xff\xfe", "the file is not text in UTF-8 (byte 0)"),
    ],
)
def test_other_readings_lose(tmp_path: Path, source: str | bytes, said: str) -> None:
    outcome = asked(tmp_path, source)
    assert (outcome.verdict, outcome.findings[0].message) == (Verdict.FAILED, said)


@pytest.mark.parametrize(
    "source", [PANDAS + "import sys\npd.read_csv('x', chunksize=int(sys.argv[1]))", "print(1)"]
)
def test_what_reading_cannot_tell(tmp_path: Path, source: str) -> None:
    assert asked(tmp_path, source).verdict is Verdict.UNVERIFIED


def test_without_a_script(tmp_path: Path) -> None:
    assert decide(chunks, make_context(tmp_path, {}), file="batch", rows=10000).verdict is Verdict.FAILED


def test_the_reference(tmp_path: Path) -> None:
    source = (RUBRICS.parent / "reference_solution/src/batch_score.py").read_text(encoding="utf-8")
    assert asked(tmp_path, source).verdict is Verdict.PASSED
