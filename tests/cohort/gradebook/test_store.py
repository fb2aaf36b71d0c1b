"""The gradebook's file: whatever is there instead of one, and whatever ends whoever writes to it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from grader.cohort.gradebook import store
from grader.cohort.gradebook.queue import Key, enqueue, lease, reclaim
from grader.cohort.gradebook.store import Gradebook, Watch, is_gradebook, is_older, open_gradebook
from grader.errors import GraderFault, ToolMissing, UsageError
from grader.runtime.sandbox.bubblewrap.sandbox import find_bubblewrap
from tests.cohort.gradebook.books import ANNA, hand_in, small_book

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
SECOND = "CREATE TABLE more (id INTEGER PRIMARY KEY) STRICT; INSERT INTO more VALUES (1)"


def opened(path: Path) -> Gradebook:
    return open_gradebook(path, write=True, create=True)


def in_child(code: str, *words: str, before: tuple[str, ...] = ()) -> str:
    """What a Python of its own prints."""
    done = subprocess.run(
        [*before, sys.executable, "-c", textwrap.dedent(code), *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- what is there instead --------------------------------------------------------------------------


def nothing(path: Path) -> None:
    pass


def a_folder(path: Path) -> None:
    path.mkdir()


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("elsewhere.db")


def links_in_a_circle(path: Path) -> None:
    path.symlink_to(path.name)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def no_database(path: Path) -> None:
    path.write_text("once upon a time, there was a text that was no database")


def an_empty_file(path: Path) -> None:
    path.touch()


def a_header_alone(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0")


def another_database(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE other (x)")


def of_another_application(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA application_id = 7")


def from_a_newer_grader(path: Path) -> None:
    small_book(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("make", "to_read", "to_write"),
    [
        (nothing, "there is no gradebook PATH: `grader batch` makes one", ""),
        (a_folder, "PATH is a folder, and a gradebook is a file: name one in it", None),
        (a_link_to_nothing, "there is no gradebook PATH: it is a link to FOLDER/elsewhere.db", None),
        (links_in_a_circle, "there is no gradebook PATH: its links lead in a circle", None),
        (a_pipe, "PATH is no file, and a gradebook is one", None),
        (no_database, "PATH is no gradebook: it is not a database", None),
        (an_empty_file, "the gradebook PATH holds nothing yet: `grader batch` fills it", ""),
        (a_header_alone, "the gradebook PATH is damaged (file is not a database)", None),
        (another_database, "PATH is a database, but no gradebook", None),
        (of_another_application, "PATH is a database, but no gradebook", None),
        (
            from_a_newer_grader,
            "the gradebook PATH is from a newer grader (version 99, this one knows 1): use that grader",
            None,
        ),
    ],
)
def test_what_is_no_gradebook_is_refused(
    tmp_path: Path, make: Callable[[Path], None], to_read: str, to_write: str | None
) -> None:
    path = tmp_path / "book.db"
    make(path)
    before = path.lstat().st_size if os.path.lexists(path) else None

    def said(text: str) -> str:
        return text.replace("PATH", str(path)).replace("FOLDER", str(tmp_path))

    with pytest.raises(UsageError) as complaint:
        open_gradebook(path)
    assert str(complaint.value).startswith(said(to_read))
    if to_write == "":
        opened(path).close()
        return
    with pytest.raises(UsageError) as complaint:
        opened(path)
    assert str(complaint.value).startswith(said(to_write or to_read))
    assert (path.lstat().st_size if os.path.lexists(path) else None) == before


def test_a_gradebook_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no folder .*nowhere for a gradebook: make it first"):
        opened(tmp_path / "nowhere" / "book.db")


def test_a_truncated_file_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = small_book(tmp_path / "book.db")
    os.truncate(path, path.stat().st_size // 3)
    with pytest.raises(UsageError, match=r"the gradebook .*book.db is damaged"), open_gradebook(path) as book:
        book.rows("SELECT * FROM criterion")


def test_damage_inside_is_told_when_it_is_met(tmp_path: Path) -> None:
    path = small_book(tmp_path / "book.db")
    with contextlib.closing(sqlite3.connect(path)) as database:
        page = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'event'").fetchone()[0]
        size = database.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with open_gradebook(path, write=True) as book:
        with pytest.raises(UsageError, match=r"is damaged \(.*malformed\): go back to a copy of it"):
            book.rows("SELECT * FROM event")
        with pytest.raises(UsageError, match="is damaged"), book.transaction():
            book.record("x", who="y")
        assert not book.database.in_transaction


# --- one writer, any number of readers --------------------------------------------------------------


def test_settings_of_the_file(tmp_path: Path) -> None:
    with opened(tmp_path / "book.db") as book:
        names = (
            "journal_mode",
            "synchronous",
            "foreign_keys",
            "busy_timeout",
            "application_id",
            "user_version",
        )
        found = [book.rows(f"PRAGMA {name}")[0][0] for name in names]
        assert found == ["wal", 2, 1, 10_000, store.APPLICATION, 1]
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"), book.transaction():
            book.record("x", who="y", candidate=5)


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    path = small_book(tmp_path / "book.db")
    (tmp_path / "link.db").symlink_to(path)
    with opened(path) as book:
        told = rf"is being written by another grader \(process {os.getpid()} on this machine\): wait for it"
        for name in ("book.db", "link.db"):
            with pytest.raises(UsageError, match=told):
                open_gradebook(tmp_path / name, write=True)
        with book.transaction():
            book.record("x", who="y")
            with open_gradebook(path) as reader:
                assert reader.rows("SELECT * FROM event") == []
        with open_gradebook(path) as reader:
            assert len(reader.rows("SELECT * FROM event")) == 1
    opened(path).close()


def test_what_a_person_decides_need_not_wait_for_a_batch(tmp_path: Path) -> None:
    path = small_book(tmp_path / "book.db")
    with opened(path) as batch:
        with open_gradebook(path, write=True, beside=True) as book, book.transaction():
            book.record("override", who="examiner")
        with batch.transaction():
            batch.record("batch", who="grader")
        assert [row["who"] for row in batch.rows("SELECT who FROM event ORDER BY id")] == [
            "examiner",
            "grader",
        ]


def test_who_writes_on_another_machine_is_waited_for(tmp_path: Path) -> None:
    path = small_book(tmp_path / "book.db")
    with opened(path):
        lock = tmp_path / "book.db.lock"
        lock.write_text(f"process {os.getpid()}, host elsewhere, boot another\n")
        with pytest.raises(UsageError, match=r"by another grader \(process \d+ on elsewhere\): wait for it"):
            open_gradebook(path, write=True, beside=True)


def test_a_reader_changes_nothing(tmp_path: Path) -> None:
    with open_gradebook(small_book(tmp_path / "book.db")) as book, pytest.raises(UsageError):  # noqa: SIM117
        with book.transaction():
            book.record("x", who="y")


def test_a_snapshot_is_of_one_moment(tmp_path: Path) -> None:
    path = small_book(tmp_path / "book.db")
    with opened(path) as book, open_gradebook(path) as reader, reader.snapshot():
        before = len(reader.rows("SELECT * FROM event"))
        with book.transaction():
            book.record("x", who="y")
        assert len(reader.rows("SELECT * FROM event")) == before


def test_hard_links_are_not_written_through(tmp_path: Path) -> None:
    path = small_book(tmp_path / "book.db")
    (tmp_path / "other.db").hardlink_to(path)
    with pytest.raises(UsageError, match=r"has 2 names \(hard links\): copy it"):
        open_gradebook(path, write=True)
    open_gradebook(path).close()


def test_a_full_disk_is_nobodys_fault_and_undone(tmp_path: Path) -> None:
    with opened(tmp_path / "book.db") as book:
        pages = book.rows("PRAGMA page_count")[0][0]
        book.rows(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(GraderFault, match=r"cannot be written or read \(database or disk is full\)"):  # noqa: SIM117
            with book.transaction():
                book.record("x", who="y", data="z" * 100_000)
        assert not book.database.in_transaction
        assert book.rows("SELECT * FROM event") == []


def test_an_interrupt_undoes_a_transaction(tmp_path: Path) -> None:
    with opened(tmp_path / "book.db") as book:

        def interrupted() -> None:
            with book.transaction():
                book.record("x", who="y")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert book.rows("SELECT * FROM event") == []


# --- places that cannot be written ------------------------------------------------------------------

READ_ONLY = """
import sys
from pathlib import Path
from grader.cohort.gradebook.store import open_gradebook
from grader.errors import UsageError
for name in ("clean", "crashed"):
    for write in (False, True):
        try:
            with open_gradebook(Path(sys.argv[1]) / name / "book.db", write=write) as book:
                print(name, write, len(book.rows("SELECT * FROM event")))
        except UsageError as error:
            print(name, write, error)
"""


def test_on_a_read_only_file_system_it_is_read(tmp_path: Path) -> None:
    try:
        bubblewrap = str(find_bubblewrap())
    except ToolMissing as missing:
        pytest.skip(str(missing))
    for name in ("clean", "crashed"):
        (tmp_path / name).mkdir()
        small_book(tmp_path / name / "book.db")
    in_child(
        "import os, sys; from pathlib import Path;"
        "from grader.cohort.gradebook.store import open_gradebook\n"
        "book = open_gradebook(Path(sys.argv[1]), write=True)\n"
        "with book.transaction(): book.record('x', who='y')\n"
        "os._exit(0)",
        str(tmp_path / "crashed" / "book.db"),
    )
    (tmp_path / "crashed" / "book.db-shm").unlink()
    before = (
        bubblewrap,
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--die-with-parent",
        "--",
    )
    said = in_child(READ_ONLY, str(tmp_path), before=before).replace(str(tmp_path), "")
    unread = "cannot be read there with the changes in book.db-wal: copy both to where you may write"
    refused = "cannot be written there (Read-only file system): copy it to where it can"
    assert said.splitlines() == [
        "clean False 0",
        f"clean True the gradebook /clean/book.db {refused}",
        f"crashed False the gradebook /crashed/book.db {unread}",
        f"crashed True the gradebook /crashed/book.db {refused}",
    ]


def test_on_a_network_file_system_no_memory_is_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_book(tmp_path / "book.db")  # made on this machine's disk, and copied there
    monkeypatch.setattr(store, "network_file_system", lambda folder: "nfs4" if folder == tmp_path else "")
    with open_gradebook(path) as book:
        assert len(book.rows("SELECT * FROM candidate")) == 2
    assert [each.name for each in tmp_path.iterdir() if each.name.endswith("-shm")] == []
    with open_gradebook(path, write=True) as book:
        assert book.remarks == (
            f"{path} is on a network file system (nfs4): it is slower there, and only one machine may use it",
        )
        with book.transaction():
            book.record("x", who="y")
        assert book.rows("PRAGMA journal_mode")[0][0] == "delete"
    with open_gradebook(path) as book:
        assert len(book.rows("SELECT * FROM event")) == 1


def test_a_log_on_a_network_file_system_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "book.db"
    with opened(path):
        monkeypatch.setattr(store, "network_file_system", lambda _: "cifs")
        with pytest.raises(
            UsageError, match=r"was copied to a network file system \(cifs\) while it was written"
        ):
            open_gradebook(path)


# --- migrations -------------------------------------------------------------------------------------


@pytest.fixture
def two_scripts(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    first = store.migrations()

    def use(second: str) -> None:
        monkeypatch.setattr(store, "migrations", lambda: [*first, second])

    return use


def content(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


def test_an_older_gradebook_is_copied_and_brought_up_to_date(
    tmp_path: Path, two_scripts: Callable[[str], None]
) -> None:
    path = small_book(tmp_path / "book.db")
    before = content(path)
    (tmp_path / "book.db.version-1").write_text("an older copy")
    assert not is_older(path)
    two_scripts(SECOND)
    assert is_older(path)
    with pytest.raises(
        UsageError, match=r"is from an older grader: `grader gradebook verify -g .*` brings it"
    ):
        open_gradebook(path)
    copy = tmp_path / "book.db.version-1-2"
    with opened(path) as book:
        assert book.remarks == (f"brought from version 1 to 2; {copy} is as it was",)
        assert [tuple(row) for row in book.rows("SELECT * FROM more")] == [(1,)]
        assert len(book.rows("SELECT * FROM candidate")) == 2
    assert content(copy) == before
    assert (tmp_path / "book.db.version-1").read_text() == "an older copy"
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == ["book.db", "book.db.lock", "book.db.version-1", "book.db.version-1-2"]
    with opened(path) as book:
        assert book.remarks == ()


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        (f"{SECOND}; SELECT nonsense", "no such column: nonsense"),
        (f"{SECOND}; DELETE FROM candidate", "script 0002 leaves rows of .*book.db that refer to none"),
    ],
)
def test_a_script_that_fails_changes_nothing(
    tmp_path: Path, two_scripts: Callable[[str], None], script: str, complaint: str
) -> None:
    path = small_book(tmp_path / "book.db")
    before = content(path)
    two_scripts(script)
    with pytest.raises((UsageError, GraderFault), match=complaint):
        opened(path)
    assert content(path) == before
    assert is_older(path)


def test_scripts_are_numbered_without_a_gap() -> None:
    folder = Path(store.__file__).parent / "migrations"
    names = sorted(each.name for each in folder.iterdir() if each.suffix == ".sql")
    assert names == [f"{number:04}.sql" for number in range(1, len(names) + 1)]


# --- clocks and ends --------------------------------------------------------------------------------


def test_a_clock_that_jumps_changes_no_order_and_no_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter(["2031-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z"])
    with opened(tmp_path / "book.db") as book:
        monkeypatch.setattr(store, "now", lambda: next(moments))
        with book.transaction():
            hand_in(book, ANNA, digest="d")
            job = enqueue(book, Key(submission="d", exam="e", grader="1", options={}), "/in/d")
            lease(book, job, "worker", 10.0**9)
            book.record("first", who="y")
            book.record("second", who="y")
        # It is the lock that says whose lease it is, not the clock.
        with book.transaction():
            assert reclaim(book) == 1
        assert [row["what"] for row in book.rows("SELECT what FROM event ORDER BY id")] == ["first", "second"]


KILLED = """
import json, os, random, signal, sys, time
from pathlib import Path
from grader.cohort.gradebook.store import open_gradebook

path = Path(sys.argv[1])
random.seed(13)
open_gradebook(path, write=True, create=True).close()
done = []
for moment in range(40):
    ready, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            with open_gradebook(path, write=True) as book:
                os.write(tell, b"!")
                for number in range(100_000):
                    with book.transaction():
                        for part in range(5):
                            book.record("part", who=f"{moment}", number=number, part=part, text="x" * 2000)
        finally:
            os._exit(1)
    os.close(tell)
    assert os.read(ready, 1) == b"!"
    os.close(ready)
    time.sleep(random.random() * 0.02)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), status
    with open_gradebook(path, write=bool(moment % 2)) as book:
        assert book.rows("PRAGMA integrity_check")[0][0] == "ok"
        counts = book.rows("SELECT count(*) AS n FROM event GROUP BY who, json_extract(data, '$.number')")
        done.append([row["n"] for row in counts])
print(json.dumps(done))
"""


def test_killed_at_any_moment_a_transaction_is_whole_or_not_there(tmp_path: Path) -> None:
    done = json.loads(in_child(KILLED, str(tmp_path / "book.db")))
    assert len(done) == 40
    assert all(set(counts) <= {5} for counts in done)
    # What was there stays there, and the moments were such that something was.
    assert [len(counts) for counts in done] == sorted(len(counts) for counts in done)
    assert len(done[-1]) > 5


def test_the_lock_of_another_boot_is_no_ones(tmp_path: Path) -> None:
    path = small_book(tmp_path / "book.db")
    lock = tmp_path / "book.db.lock"
    assert re.fullmatch(r"process \d+, host .+, boot \S+\n", lock.read_text())
    lock.write_text("process 1, host elsewhere, boot another\n")
    opened(path).close()
    lock.unlink()
    lock.symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match=r"book.db.lock is in the way: only a grader may make it"):
        opened(path)


def test_who_looks_does_not_give_up_the_locks_of_who_reads(tmp_path: Path) -> None:
    """Else the next process to end takes the log away under those who are still reading."""
    path = small_book(tmp_path / "book.db")
    watch = Watch(path)
    watch.version()
    with open_gradebook(path):
        pass
    is_older(path)
    is_gradebook(path)
    script = (
        "import sqlite3, sys; book = sqlite3.connect(sys.argv[1]);"
        " book.execute('PRAGMA user_version'); book.execute('DELETE FROM flag'); book.commit(); book.close()"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    kept = path.with_name("book.db-wal").exists()
    watch.close()
    assert kept
