from __future__ import annotations

from pathlib import Path

import pytest

from grader.errors import UsageError
from grader.report.formats import FORMATS, Settings, parse_report, refuse_unwritable, write_file, write_whole
from tests.report.grades import a_grade


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_written_the_same_each_time(name: str, tmp_path: Path) -> None:
    contents = []
    for number in range(2):
        path = tmp_path / f"{number}"
        write_file(name, path, a_grade(), Settings(colour="never"))
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] != b""


def test_the_readme_lists_every_format() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    rows = "".join(f"| `{form.name}` | {form.summary} |\n" for form in FORMATS.values())
    assert f"| format | for |\n|---|---|\n{rows}\n" in readme


def test_a_report_is_a_format_and_a_file() -> None:
    assert parse_report("json=a=b.json") == ("json", Path("a=b.json"))


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("yaml=x", "no format 'yaml' .there are text, json, html"),
        ("json", "name a file too, such as json=report"),
        ("json=", "name a file too"),
        ("", "no format ''"),
    ],
)
def test_what_is_no_report_is_refused(word: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_report(word)


def test_what_cannot_be_written_is_refused_in_time(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing/report"):
        with pytest.raises(UsageError, match="cannot write to"):
            refuse_unwritable(path)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report"
    write_whole(path, "first")
    (tmp_path / "folder/inner").mkdir(parents=True)
    with pytest.raises(UsageError, match="cannot write"):
        write_whole(tmp_path / "folder", "second")
    assert path.read_text() == "first"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "report"]
