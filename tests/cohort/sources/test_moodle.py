from __future__ import annotations

from typing import TYPE_CHECKING

from grader.cohort.sources.model import Person
from tests.cohort.sources.folders import look, packed, rows, write

if TYPE_CHECKING:
    from pathlib import Path


def test_folders_flat_and_blind(tmp_path: Path) -> None:
    root = write(
        tmp_path / "all",
        {
            "Ann Lee_12_assignsubmission_file_/exam.zip": packed(),
            "Ann Lee_9_assignsubmission_file/src/a.py": "1",
            "Participant_70_assignsubmission_file_exam.tar.gz": packed(),
            "קרן 💥, O'Neil_8_assignsubmission_file/x.zip": packed(),
            "Under_Score_3_11_assignsubmission_file_x.zip": packed(),
        },
    )
    cohort = look(root, tmp_path)
    assert cohort.kind == "Moodle download"
    assert rows(cohort) == [
        ("8", "קרן 💥, O'Neil_8_assignsubmission_file/x.zip", ""),
        ("9", "Ann Lee_9_assignsubmission_file", ""),
        ("11", "Under_Score_3_11_assignsubmission_file_x.zip", ""),
        ("12", "Ann Lee_12_assignsubmission_file_/exam.zip", ""),
        ("70", "Participant_70_assignsubmission_file_exam.tar.gz", ""),
    ]
    assert [found.people[0].name for found in cohort.found] == [
        "קרן 💥, O'Neil",
        "Ann Lee",
        "Under_Score_3",
        "Ann Lee",
        "Participant",
    ]
    assert cohort.remarks == ("2 people are called Ann Lee and are told apart by their keys: 9, 12",)


def test_a_candidate_cannot_name_a_file_into_anothers_row(tmp_path: Path) -> None:
    name = "Bob_13_assignsubmission_file_Eve_14_assignsubmission_file_x.zip"
    root = write(tmp_path / "all", {name: packed(), "Eve_14_assignsubmission_file_y.zip": packed()})
    assert rows(look(root, tmp_path)) == [("13", name, ""), ("14", "Eve_14_assignsubmission_file_y.zip", "")]


def test_files_of_a_flat_download_are_put_together(tmp_path: Path) -> None:
    start = "Ann Lee_12_assignsubmission_file_"
    root = write(
        tmp_path / "all", {f"{start}train.py": "1", f"{start}Dockerfile": "2", f"{start}a b.md": "3"}
    )
    (found,) = look(root, tmp_path).found
    assert sorted(path.name for path in (tmp_path / "aside" / "together").glob("*/*")) == [
        "Dockerfile",
        "a b.md",
        "train.py",
    ]
    assert (found.source.startswith(str(tmp_path / "aside")), found.evidence) == (True, "newest file time")


def test_an_online_text_beside_files_is_one_candidate(tmp_path: Path) -> None:
    root = write(
        tmp_path / "all",
        {
            "Ann_1_assignsubmission_file_/a.zip": packed(),
            "Ann_1_assignsubmission_onlinetext_/onlinetext.html": "<p>see file</p>",
            "Bob_2_assignsubmission_onlinetext/onlinetext.html": "<p>I forgot</p>",
            "Cem_3_assignsubmission_comments/c.txt": "x",
            "grades.csv": "x",
        },
    )
    cohort = look(root, tmp_path)
    text = "a text was handed in, and no address of a repository is in it"
    assert rows(cohort) == [
        ("1", "Ann_1_assignsubmission_file_/a.zip", ""),
        ("2", "Bob_2_assignsubmission_onlinetext/onlinetext.html", text),
    ]
    assert cohort.remarks == (
        "skipped, being neither files nor online texts: Cem_3_assignsubmission_comments",
        "online texts beside files are not read (of 1 participants)",
        "skipped, being no submissions of Moodle's: grades.csv",
    )


def test_teams_as_packed_before_4_1(tmp_path: Path) -> None:
    one, two = packed({"a": "1"}), packed({"a": "2"})
    root = write(
        tmp_path / "all",
        {
            "Team-1-Ann Lee_5_assignsubmission_file_/x.zip": one,
            "Team-1-Anna Kim_6_assignsubmission_file_/x.zip": one,
            "Team-2-Bob_7_assignsubmission_file_/x.zip": two,
        },
    )
    cohort = look(root, tmp_path)
    assert [found.people for found in cohort.found] == [
        (
            Person(
                key="5",
                name="Ann Lee",
                section="Team-1",
                identities=(("moodle-participant", "5"), ("moodle-group", "Team-1")),
            ),
            Person(
                key="6",
                name="Anna Kim",
                section="Team-1",
                identities=(("moodle-participant", "6"), ("moodle-group", "Team-1")),
            ),
        ),
        (Person(key="7", name="Team-2-Bob", identities=(("moodle-participant", "7"),)),),
    ]


def test_equal_work_of_people_in_no_team_stays_two(tmp_path: Path) -> None:
    root = write(
        tmp_path / "all",
        {
            f"{name}_assignsubmission_file_/x.zip": packed()
            for name in ("Anna-Lena K_1", "Anna-Maria K_2", "Bo_3")
        },
    )
    assert [len(found.people) for found in look(root, tmp_path).found] == [1, 1, 1]


def test_teams_since_4_1(tmp_path: Path) -> None:
    root = write(
        tmp_path / "all",
        {
            "Team A_77_assignsubmission_file/x.zip": packed(),
            "Default group_assignsubmission_file/x.zip": packed(),
        },
    )
    assert [found.people for found in look(root, tmp_path).found] == [
        (Person(key="77", name="Team A", identities=(("moodle-participant", "77"),)),),
        (Person(key="Default group", name="Default group", identities=(("moodle-group", "Default group"),)),),
    ]
