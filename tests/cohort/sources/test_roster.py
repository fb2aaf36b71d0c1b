from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from grader.cohort.sources.model import Person
from grader.cohort.sources.roster import Row, read_roster
from grader.errors import UsageError
from tests.cohort.sources.folders import commit, look, packed, rows, write

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE = datetime(2026, 2, 1, 18, tzinfo=timezone(timedelta(hours=1)))


def test_columns_in_any_order_and_spelling(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(
        "\ufeffE-Mail;Full Name;Candidate;GitHub;Extension;Path;Note\r\n"
        'a@x.org;"Lee; Ann\n💥";k1;ann;+2 days;subs/a.zip;x\r\n'
        ";;\r\n"
        ";=1+1;k2;;2026-02-03 12:00;;\r\n".encode()
    )
    assert read_roster(path, deadline=DEADLINE) == (
        Row(
            person=Person(key="k1", name="Lee; Ann\n💥", email="a@x.org", identities=(("github", "ann"),)),
            source="subs/a.zip",
            deadline=DEADLINE + timedelta(days=2),
            where=f"{path}:3",
        ),
        Row(
            person=Person(key="k2", name="=1+1"),
            deadline=datetime(2026, 2, 3, 11, tzinfo=UTC),
            where=f"{path}:5",
        ),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names nobody"),
        ("key,name\n", "names nobody"),
        ("name,email\nA,b\n", "has no column `key`"),
        ("key,name\n,Ann\n", "r.csv:2 has no key"),
        ("key\na\na\n", "r.csv:3: a stands there already"),
        ('key,name\na,"b\n', "cannot be read as CSV"),
        ("key,name\na,b,c\n", "more cells than there are columns"),
        ("key,deadline\na,tomorrow\n", "'tomorrow' is no time"),
        ("key,deadline\na,2026-02-01 12:00\n", "does not say its zone"),
        ("key,extension\na,2d\n", "needs a deadline"),
        ("key,name\na," + "x" * 2000 + "\n", "its name is longer than 1,000"),
        ("key,name\na," + "x" * 200_000 + "\n", "cannot be read as CSV"),
    ],
)
def test_a_roster_that_cannot_be_meant(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_roster(tmp_path / "r.csv", deadline=None)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes("key,name\na,Müller\n".encode("latin-1"))
    with pytest.raises(UsageError, match="not text in UTF-8"):
        read_roster(tmp_path / "r.csv", deadline=None)


@pytest.mark.parametrize(
    "text",
    [
        "- key: 7\n  name: Ann\n  deadline: 2026-02-01T12:00:00+01:00\n",
        "people:\n- {key: 7, name: Ann, deadline: 2026-02-01T11:00Z}\n",
        "7: {name: Ann, deadline: 2026-02-01T11:00:00+00:00}\n",
    ],
)
def test_yaml(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(text)
    (row,) = read_roster(tmp_path / "r.yaml", deadline=None)
    assert row.person == Person(key="7", name="Ann")
    assert row.deadline == datetime(2026, 2, 1, 11, tzinfo=UTC)


@pytest.mark.parametrize("text", ["a", "- a\n- b\n", "a: [", "x: &a [*a]\n", "7: Ann\n"])
def test_yaml_that_is_no_roster(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(text)
    with pytest.raises(UsageError, match=r"r\.yml"):
        read_roster(tmp_path / "r.yml", deadline=None)


def test_a_roster_as_the_source(tmp_path: Path) -> None:
    first = commit(tmp_path / "repo", "2026-01-01T00:00:00Z", "1")
    second = commit(tmp_path / "repo", "2026-01-03T00:00:00Z", "2")
    write(tmp_path, {"a/x.zip": packed(), "b/answer": "1"})
    (tmp_path / "r.csv").write_text(
        "key,source,extension\n"
        "ann,a,\nbob,b,\ncem,b,\ndee,,\n"
        f"eve,repo,\nfay,repo,+2d\ngus,repo@{second},\nhal,nowhere,\n"
        f"ida,file://{tmp_path}/repo,\njon,file://{tmp_path}/nowhere.git,\nkim,ext::id,\n"
    )
    cohort = look(tmp_path / "r.csv", tmp_path, deadline=datetime(2026, 1, 2, tzinfo=UTC))
    assert cohort.kind == "roster"
    assert cohort.missing == (Person(key="dee"),)
    assert [
        (tuple(person.key for person in found.people), found.unreadable, found.late) for found in cohort.found
    ] == [
        (("ann",), "", True),
        (("bob", "cem"), "", True),
        (("eve", "fay"), "", False),
        (("gus",), "", True),
        (("hal",), f"{tmp_path}/r.csv:9: there is nothing at nowhere", None),
        (("ida",), "", False),
        (("jon",), "nowhere cannot be cloned: there is no repository", None),
        (("kim",), f"{tmp_path}/r.csv:12: there is nothing at ext::id", None),
    ]
    sources = {found.people[0].key: found.source for found in cohort.found}
    assert sources["ann"] == str(tmp_path / "a" / "x.zip")
    assert sources["bob"] == str(tmp_path / "b")
    assert sources["eve"] == str(tmp_path / "repo")
    assert sources["gus"].endswith(f"@{second}")
    assert sources["ida"].endswith(f"@{first}")


def test_a_roster_beside_a_download(tmp_path: Path) -> None:
    root = write(
        tmp_path / "all",
        {
            "Ann Lee_12_assignsubmission_file_/x.zip": packed(),
            "Bob Ross_13_assignsubmission_file_/x.zip": packed(),
            "Cem_14_assignsubmission_file_/x.zip": packed(),
        },
    )
    (tmp_path / "r.csv").write_text(
        "key,name,email,moodle,section\ns1,Ann L.,a@x,12,A\ns2,bob  ross,b@x,,B\ns3,Zoe,z@x,,B\n"
    )
    cohort = look(root, tmp_path, mapping=str(tmp_path / "r.csv"))
    assert [found.people for found in cohort.found] == [
        (Person(key="14", name="Cem", identities=(("moodle-participant", "14"),)),),
        (
            Person(
                key="s1",
                name="Ann L.",
                email="a@x",
                section="A",
                identities=(("moodle-participant", "12"),),
            ),
        ),
        (
            Person(
                key="s2",
                name="bob  ross",
                email="b@x",
                section="B",
                identities=(("moodle-participant", "13"),),
            ),
        ),
    ]
    assert cohort.missing == (Person(key="s3", name="Zoe", email="z@x", section="B"),)
    assert cohort.remarks == ("not in the roster: 14",)


def test_a_name_that_two_of_a_roster_have_tells_nobody(tmp_path: Path) -> None:
    root = write(tmp_path / "all", {"Ann Lee_12_assignsubmission_file_/x.zip": packed()})
    (tmp_path / "r.csv").write_text("key,name\ns1,Ann Lee\ns2,Ann Lee\n")
    cohort = look(root, tmp_path, mapping=str(tmp_path / "r.csv"))
    assert [row[0] for row in rows(cohort)] == ["12"]
    assert cohort.missing == (Person(key="s1", name="Ann Lee"), Person(key="s2", name="Ann Lee"))


def test_a_mapping_that_is_none(tmp_path: Path) -> None:
    root = write(tmp_path / "all", {"x1-ann.zip": packed(), "x2-bob.py": "1", "y": ""})
    cohort = look(root, tmp_path, mapping=r"x(?P<tag>\d)-(?P<key>[^.]+)\..*")
    assert [(found.people[0].key, found.tag, found.unreadable) for found in cohort.found] == [
        ("ann", "1", ""),
        ("bob", "2", ""),
    ]
    assert cohort.remarks == ("skipped, --map not matching: y",)
    for mapping, message in (
        ("(?P<key>[", "is no regular expression"),
        ("(?P<name>.*)", "has no group"),
        (".*", "has no group"),
        ("(?P<key>.*)(?P<colour>.*)", "no group is called colour"),
        ("(?P<key>nobody)", r"matches none of the whole names x1-ann.zip, x2-bob.py, y"),
        ("nowhere.csv", "there is no roster at nowhere.csv"),
        (str(root / "y"), "is no roster"),
    ):
        with pytest.raises(UsageError, match=message):
            look(root, tmp_path, mapping=mapping)


def test_rows(tmp_path: Path) -> None:
    write(tmp_path, {"a.zip": "no zip", "r.csv": "key,source\nann,a.zip\n"})
    assert rows(look(tmp_path / "r.csv", tmp_path)) == [
        ("ann", "a.zip", "a.zip is no archive (.zip, .tar, .tar.gz)")
    ]
