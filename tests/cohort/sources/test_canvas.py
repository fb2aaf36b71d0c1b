from __future__ import annotations

from pathlib import Path

import pytest

from grader.cohort.sources.model import Person
from tests.cohort.sources.folders import look, packed, rows, write


def test_every_kind_of_name(tmp_path: Path) -> None:
    root = write(
        tmp_path / "all",
        {
            "doejane_4711_98765_exam.zip": packed(),
            "smithbob_LATE_12_98766_my exam_3_4_x.tar.gz": packed(),
            "ליאור_13_98767_exam.zip": packed(),
            "doejane_14_98768_exam-2.zip": packed(),
            "under_score_15_98769_exam.zip": packed(),
            "mute_16_text.html": "<p>sorry</p>",
        },
    )
    cohort = look(root, tmp_path)
    assert cohort.kind == "Canvas download"
    assert [(found.people[0], found.tag, found.late) for found in cohort.found] == [
        (Person(key="12", name="smithbob", identities=(("canvas", "12"),)), "my exam_3_4_x.tar.gz", True),
        (Person(key="13", name="ליאור", identities=(("canvas", "13"),)), "exam.zip", False),
        (Person(key="14", name="doejane", identities=(("canvas", "14"),)), "exam-2.zip", False),
        (Person(key="15", name="under_score", identities=(("canvas", "15"),)), "exam.zip", False),
        (Person(key="16", name="mute", identities=(("canvas", "16"),)), "", False),
        (Person(key="4711", name="doejane", identities=(("canvas", "4711"),)), "exam.zip", False),
    ]
    assert [found.unreadable for found in cohort.found if found.unreadable] == [
        "a text was handed in, and no address of a repository is in it"
    ]
    assert cohort.remarks == ("2 people are called doejane and are told apart by their keys: 14, 4711",)


def test_without_names(tmp_path: Path) -> None:
    root = write(tmp_path / "all", {"anon_Ab1_5_a.zip": packed(), "LATE_anon_x9Y_6_a.zip": packed()})
    assert [(found.people, found.late) for found in look(root, tmp_path).found] == [
        ((Person(key="anon_Ab1", identities=(("canvas-anonymous", "Ab1"),)),), False),
        ((Person(key="anon_x9Y", identities=(("canvas-anonymous", "x9Y"),)),), True),
    ]


def test_an_archive_handed_in_again_is_another_attempt(tmp_path: Path) -> None:
    root = write(
        tmp_path / "all",
        {"a_1_10_exam.zip": packed(), "a_1_11_exam-1.zip": packed(), "b_2_12_exam.zip": packed()},
    )
    cohort = look(root, tmp_path)
    assert [(found.people[0].key, found.tag) for found in cohort.found] == [
        ("1", "exam.zip"),
        ("1", "exam-1.zip"),
        ("2", "exam.zip"),
    ]


def test_files_are_put_together_under_the_names_that_the_exam_knows(tmp_path: Path) -> None:
    root = write(
        tmp_path / "all",
        {
            "a_1_10_train-1.py": "1",
            "a_1_11_part-2.py": "2",
            "a_1_12_Dockerfile": "3",
            "b_2_13_train.py": "4",
            "b_2_14_train-1.py": "5",
        },
    )
    cohort = look(root, tmp_path, starter=("src/train.py", "Dockerfile"))
    assert [sorted(path.name for path in Path(found.source).iterdir()) for found in cohort.found] == [
        ["Dockerfile", "part-2.py", "train.py"],
        ["train-1.py", "train.py"],
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("exam_2024_1_ann.zip", "exam_2024_2_bob.zip"),
        ("ann_01_02_x.zip", "bob_01_03_x.zip"),
        ("ann_1_7_x.zip", "bob_2_7_x.zip"),
        ("ann_1_7_x.zip", "bob_1_8_x.zip"),
    ],
)
def test_names_that_only_look_so(names: tuple[str, ...], tmp_path: Path) -> None:
    root = write(tmp_path / "all", dict.fromkeys(names, packed()))
    cohort = look(root, tmp_path)
    assert cohort.kind == "folder of submissions"
    assert [row[1] for row in rows(cohort)] == list(names)
