"""Archives that want more than to be unpacked."""

from __future__ import annotations

import bz2
import io
import lzma
import resource
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from grader.errors import UsageError
from grader.submission import archives
from grader.submission.archives import extract, is_archive
from grader.submission.copy_tree import Bounds

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL = Bounds(files=5, folders=10, total_bytes=4000, file_bytes=1000, depth=4, path_length=60)


def tar(path: Path, *members: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, *, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def unpack(archive: Path, bounds: Bounds = SMALL) -> tuple[list[str], list[str]]:
    """What is there afterwards, and what was said of the rest."""
    into = archive.with_name("out")
    remarks = extract(archive, into, bounds)
    there = [str(path.relative_to(into)) for path in into.rglob("*") if path.is_symlink() or path.is_file()]
    return sorted(there), [
        f"{remark.message.removeprefix('left out: ')}: {remark.where}" for remark in remarks
    ]


@pytest.fixture
def bounded() -> Iterator[None]:
    """No more memory than a bomb would take: one that goes off is an error and not the machine's end."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 150 * 2**20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


class TestNames:
    @pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", ".."])
    def test_paths_that_leave(self, name: str, tmp_path: Path) -> None:
        outside = "its path points outside the archive"
        assert unpack(tar(tmp_path / "a.tar", member(name), member("ok"))) == (["ok"], [f"{outside}: {name}"])
        (tmp_path / "zip").mkdir()
        archive = zipped(tmp_path / "zip" / "a.zip", {name: b"", "ok": b""})
        assert unpack(archive) == (["ok"], [f"{outside}: {name}"])

    def test_separators_of_windows(self, tmp_path: Path) -> None:
        archive = zipped(tmp_path / "a.zip", {"src\\": b"", "src\\train.py": b"", "..\\evil": b""})
        assert unpack(archive) == (["src/train.py"], ["its path points outside the archive: ../evil"])

    def test_long_and_deep_ones(self, tmp_path: Path) -> None:
        files = {"x" * 61: b"", "a/b/c/d/e/f": b"", "a/b/c/d/e": b"", "ok": b""}
        there, said = unpack(zipped(tmp_path / "a.zip", files))
        assert there == ["a/b/c/d/e", "ok"]
        assert said == [f"its path is too long (2 of them): {'x' * 61}"]

    def test_names_that_no_file_can_have(self, tmp_path: Path) -> None:
        link = member("y" * 300, kind=tarfile.SYMTYPE, target="ok")
        archive = tar(tmp_path / "a.tar", member("x" * 300), link, member("ok"))
        assert unpack(archive, Bounds()) == (
            ["ok"],
            [f"its name cannot be a file's (2 of them): {'x' * 300}"],
        )

    def test_a_file_where_a_folder_is(self, tmp_path: Path) -> None:
        archive = tar(tmp_path / "a.tar", member("a"), member("a/b"), member("c/d"), member("c"))
        assert unpack(archive) == (["a", "c/d"], ["it is both a file and a folder (2 of them): a/b"])

    def test_of_two_with_one_name_the_last_counts(self, tmp_path: Path) -> None:
        unpack(tar(tmp_path / "a.tar", member("a", size=3), member("a", size=2)))
        assert (tmp_path / "out" / "a").read_bytes() == b"xx"


class TestLinks:
    def test_nothing_is_written_through_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        link = member("a", kind=tarfile.SYMTYPE, target="../outside")
        there, _ = unpack(tar(tmp_path / "a.tar", link, member("a/evil"), member("a/b/evil")))
        assert there == ["a/b/evil", "a/evil"]
        assert list((tmp_path / "outside").iterdir()) == []

    def test_no_link_is_made_under_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        first = member("a", kind=tarfile.SYMTYPE, target="../outside")
        second = member("a/b", kind=tarfile.SYMTYPE, target="c")
        assert unpack(tar(tmp_path / "a.tar", first, second)) == (
            ["a"],
            ["it stands under a link or a file: a/b"],
        )
        assert list((tmp_path / "outside").iterdir()) == []

    def test_hard_links_repeat_a_file(self, tmp_path: Path) -> None:
        same = member("b", kind=tarfile.LNKTYPE, target="a")
        evil = member("c", kind=tarfile.LNKTYPE, target="../a.tar")
        there, said = unpack(tar(tmp_path / "a.tar", member("a", size=3), same, evil))
        assert (there, said) == (["a", "b"], ["it repeats a file that is not in the archive: c"])
        assert (tmp_path / "out" / "b").read_bytes() == b"xxx"

    def test_links_in_a_zip(self, tmp_path: Path) -> None:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(info, "target")
        assert unpack(tmp_path / "a.zip") == (["link"], [])
        assert str((tmp_path / "out" / "link").readlink()) == "target"


class TestBounds:
    def test_devices(self, tmp_path: Path) -> None:
        archive = tar(
            tmp_path / "a.tar", member("null", kind=tarfile.CHRTYPE), member("f", kind=tarfile.FIFOTYPE)
        )
        assert unpack(archive) == ([], ["it is neither a file nor a folder (2 of them): null"])

    def test_large_files_many_bytes_many_files(self, tmp_path: Path) -> None:
        files = {"big": b"x" * 1001} | {str(number): b"x" * 900 for number in range(6)}
        assert unpack(zipped(tmp_path / "a.zip", files)) == (
            ["0", "1", "2", "3"],
            ["it is larger than 0 MB: big", "more than 0 MB in all (2 of them): 4"],
        )
        (tmp_path / "b").mkdir()
        many = zipped(tmp_path / "b" / "b.zip", {str(number): b"" for number in range(7)})
        assert unpack(many) == (
            ["0", "1", "2", "3", "4"],
            ["the archive has too many entries (2 of them): 5"],
        )

    def test_a_virtual_environment_takes_no_room(self, tmp_path: Path) -> None:
        files = {f".venv/{number}": b"x" * 900 for number in range(9)} | {"ok": b""}
        assert unpack(zipped(tmp_path / "a.zip", files)) == (["ok"], [])

    @pytest.mark.parametrize("suffix", ["zip", "gz", "bz2", "xz"])
    def test_bombs(self, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archives, "MAX_UNPACKED", 3 * 2**20)
        path = tmp_path / f"a.{suffix}"
        sizes = {str(number): 2**20 + 2 for number in range(4)}
        if suffix == "zip":
            zipped(path, {name: b"x" * size for name, size in sizes.items()})
        else:
            tar(path, *(member(name, size=size) for name, size in sizes.items()), mode=f"w:{suffix}")
        assert path.stat().st_size < 2**15
        with pytest.raises(UsageError, match="unpacks to more than"):
            unpack(path)

    def test_a_header_of_absurd_length(self, tmp_path: Path) -> None:
        header = member("pax", kind=tarfile.XHDTYPE, size=2**30).tobuf()
        (tmp_path / "a.tar").write_bytes(header + b"x" * 2048)
        with pytest.raises(UsageError, match="too long"):
            unpack(tmp_path / "a.tar")

    @pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
    def test_headers_of_headers(self, kind: bytes, tmp_path: Path) -> None:
        """Each of them is read by one more call inside the last."""
        chain = member("x", kind=kind).tobuf() * 700
        (tmp_path / "a.tar").write_bytes(chain + member("a").tobuf() + b"\0" * 1024)
        with pytest.raises(UsageError, match=r"cannot be unpacked|too long"):
            unpack(tmp_path / "a.tar")

    def test_holes_without_end(self, tmp_path: Path) -> None:
        first = bytearray(member("a", kind=tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
        first[482] = 1  # more holes follow
        first[148:156] = b" " * 8
        first[148:156] = b"%06o\0 " % sum(first)
        hole = b"00000000000\0" * 2
        more = hole * 21 + b"\1" + b"\0" * 7
        with bz2.open(tmp_path / "a.tar.bz2", "wb") as file:
            file.write(bytes(first) + more * 4_000)
        with pytest.raises(UsageError, match="too long"):
            unpack(tmp_path / "a.tar.bz2")

    def test_a_table_of_contents_without_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archives, "MAX_DIRECTORY", 2**17)
        archive = zipped(tmp_path / "a.zip", {f"{number:0100}": b"" for number in range(2000)})
        with pytest.raises(UsageError, match="too long a table of contents"):
            unpack(archive)

    @pytest.mark.slow
    @pytest.mark.usefixtures("bounded")
    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_zips_that_are_unpacked_at_one_go(self, method: int, tmp_path: Path) -> None:
        with (
            zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive,
            archive.open("a", "w", force_zip64=True) as file,
        ):
            for _ in range(300):
                file.write(b"\0" * 2**20)
        assert (tmp_path / "a.zip").stat().st_size < 2**20
        with pytest.raises(UsageError, match="in an unusual way"):
            unpack(tmp_path / "a.zip")

    def test_an_xz_file_that_wants_much_memory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archives, "MAX_DICTIONARY", 2**23)
        content = tar(tmp_path / "a.tar", member("a", size=9)).read_bytes()
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**24}]
        (tmp_path / "a.tar.xz").write_bytes(lzma.compress(content, filters=filters))
        with pytest.raises(UsageError, match="Memory usage limit"):
            unpack(tmp_path / "a.tar.xz")

    def test_an_xz_file_of_several_streams(self, tmp_path: Path) -> None:
        content = tar(tmp_path / "a.tar", member("a", size=3000), member("b", size=9)).read_bytes()
        parts = [content[:700], b"", content[700:2500], content[2500:]]
        (tmp_path / "a.tar.xz").write_bytes(b"\0\0\0\0".join(map(lzma.compress, parts)))
        assert unpack(tmp_path / "a.tar.xz", Bounds()) == (["a", "b"], [])

    @pytest.mark.parametrize("suffix", ["zip", "gz", "bz2", "xz"])
    def test_time(self, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / f"a.{suffix}"
        zipped(path, {"a": b""}) if suffix == "zip" else tar(path, member("a"), mode=f"w:{suffix}")
        monkeypatch.setattr(archives, "MAX_SECONDS", -1)
        with pytest.raises(UsageError, match="does not unpack within"):
            unpack(path)

    def test_many_links(self, tmp_path: Path) -> None:
        links = [member(str(number), kind=tarfile.SYMTYPE, target="x") for number in range(7)]
        assert unpack(tar(tmp_path / "a.tar", *links)) == (
            ["0", "1", "2", "3", "4"],
            ["the archive has too many links (2 of them): 5"],
        )

    def test_too_many_entries(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
        with pytest.raises(UsageError, match="more than 2 entries"):
            unpack(tar(tmp_path / "a.tar", member("a"), member("b"), member("c")))


class TestBroken:
    def test_an_encrypted_zip(self, tmp_path: Path) -> None:
        content = bytearray(zipped(tmp_path / "a.zip", {"a": b"x"}).read_bytes())
        content[content.index(b"PK\x01\x02") + 8] |= 1
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(UsageError, match="is encrypted"):
            unpack(tmp_path / "a.zip")

    @pytest.mark.parametrize("suffix", ["zip", "tar", "gz", "bz2", "xz"])
    def test_bytes_that_were_changed_or_lost(self, suffix: str, tmp_path: Path) -> None:
        """Whatever is done to an archive, it is unpacked or refused: no other exception, no other file."""
        path = tmp_path / f"a.{suffix}"
        if suffix == "zip":
            zipped(path, {"a": b"hello" * 99, "b/c": b"x"})
        else:
            tar(path, member("a", size=99), member("b/c"), mode="w" if suffix == "tar" else f"w:{suffix}")
        whole = path.read_bytes()
        for position in range(0, min(len(whole), 2000), 7):
            broken = tmp_path / str(position)
            broken.mkdir()
            (broken / "a").write_bytes(
                whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :]
            )
            (broken / "cut").mkdir()
            (broken / "cut" / "a").write_bytes(whole[:position])
            for archive in (broken / "a", broken / "cut" / "a"):
                try:
                    unpack(archive)
                except UsageError:
                    continue

    @pytest.mark.parametrize("place", [b"PK\x01\x02", b"PK\x05\x06"])
    def test_a_table_of_contents_that_points_out_of_the_file(self, place: bytes, tmp_path: Path) -> None:
        content = zipped(tmp_path / "a.zip", {"a": b"x", "b": b"x"}).read_bytes()
        at = content.index(place) + (42 if place == b"PK\x01\x02" else 16)
        (tmp_path / "a.zip").write_bytes(content[:at] + b"\xff\xff\xff\x7f" + content[at + 4 :])
        with pytest.raises(UsageError, match="cannot be unpacked"):
            unpack(tmp_path / "a.zip")

    def test_a_header_that_is_cut_off(self, tmp_path: Path) -> None:
        header = bytearray(member("a", kind=tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
        header[482] = 1
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        (tmp_path / "a.tar").write_bytes(header)
        with pytest.raises(UsageError, match="cannot be unpacked"):
            unpack(tmp_path / "a.tar")

    @pytest.mark.parametrize("content", [b"", b"hello", b"x" * 1000, b"\x7fELF"])
    def test_what_is_no_archive(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(content)
        assert not is_archive(tmp_path / "a")
