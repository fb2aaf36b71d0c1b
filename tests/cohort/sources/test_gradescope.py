from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from grader.cohort.sources.model import Person
from grader.errors import UsageError
from tests.cohort.sources.folders import look, rows, write

if TYPE_CHECKING:
    from pathlib import Path

METADATA = """---
submission_101:
  :submitters:
  - :name: 'Müller, "Ann" #1'
    :sid: '007'
    :email: ann@x.org
  :created_at: 2026-01-05 17:04:05.123456789 Z
  :score: 10.0
  :status: processed
  :results: !ruby/hash:ActiveSupport::HashWithIndifferentAccess
    tests:
    - output: |
        submission_666:
          :submitters:
          - :name: Eve
    :created_at: 1999-01-01 00:00:00 Z
  :history:
  - :id: 1
    :created_at: 2001-01-01 00:00:00 Z
submission_102:
  :submitters:
  - :name: Bob
    :sid:
    :email: bob@x.org
  - :name: Cem
    :sid: 12
    :email: ''
  :created_at: !ruby/object:ActiveSupport::TimeWithZone
    utc: &1 2026-01-06 08:00:00.000000000 Z
    zone: &2 !ruby/object:ActiveSupport::TimeZone
      name: America/Los_Angeles
    time: 2026-01-06 00:00:00.000000000 Z
submission_103:
  :submitters: !ruby/object:Exploit {}
  :created_at: 2026-13-77 00:00:00 Z
'104.pdf':
  :submitters:
  - :name: Dee
"""


def test_an_export(tmp_path: Path) -> None:
    root = write(
        tmp_path / "assignment_9_export",
        {
            "submission_metadata.yml": METADATA,
            "submission_101/a.py": "1",
            "submission_102/a.py": "2",
            "submission_103/a.py": "3",
            "submission_105/a.py": "3",
        },
    )
    cohort = look(root, tmp_path, deadline=datetime(2026, 1, 5, 18, tzinfo=UTC))
    assert cohort.kind == "Gradescope export"
    cem = Person(key="12", name="Cem", identities=(("gradescope-sid", "12"),))
    ann = Person(
        key="007",
        name='Müller, "Ann" #1',
        email="ann@x.org",
        identities=(("gradescope-sid", "007"), ("gradescope-email", "ann@x.org")),
    )
    bob = Person(
        key="bob@x.org", name="Bob", email="bob@x.org", identities=(("gradescope-email", "bob@x.org"),)
    )
    nobody = Person(key="submission_103", name="submission_103")
    assert [(found.people, found.tag, found.late, found.unreadable) for found in cohort.found] == [
        ((ann,), "submission_101", False, ""),
        ((Person(key="Dee", name="Dee"),), "104.pdf", None, "it is not in the export"),
        ((bob, cem), "submission_102", True, ""),
        ((nobody,), "submission_103", True, ""),
    ]
    times = {found.tag: (found.submitted_at, found.evidence) for found in cohort.found}
    assert times["submission_101"] == (
        datetime(2026, 1, 5, 17, 4, 5, 123456, tzinfo=UTC),
        "submission_metadata.yml",
    )
    assert times["submission_102"][0] == datetime(2026, 1, 6, 8, tzinfo=UTC)
    assert cohort.remarks == (
        "submission_metadata.yml does not say whose submission_103 is: its name is used",
        "skipped, submission_metadata.yml not naming them: submission_105",
    )


def test_more_entries_than_one_document_may_have(tmp_path: Path) -> None:
    result = "\n".join(f"    - number: {index}\n      output: x" for index in range(60))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    text = "---\n" + "".join(
        f"submission_{index}:\n  :submitters:\n  - :name: N{index}\n    :sid: '{index}'\n"
        f"  :created_at: {start + timedelta(hours=index):%Y-%m-%d %H:%M:%S} Z\n"
        f"  :results:\n    tests:\n{result}\n"
        for index in range(500)
    )
    root = write(tmp_path / "all", {"submission_metadata.yml": text, "submission_7/a": "1"})
    cohort = look(root, tmp_path)
    assert len(cohort.found) == 500
    assert rows(cohort)[7] == ("7", "submission_7", "")
    assert cohort.found[7].submitted_at == start + timedelta(hours=7)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "\x00\xff"])
def test_metadata_that_names_nobody(text: str, tmp_path: Path) -> None:
    root = write(tmp_path / "all", {"submission_metadata.yml": text, "submission_1/a": ""})
    with pytest.raises(UsageError, match="names no submission"):
        look(root, tmp_path)
