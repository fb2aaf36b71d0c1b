"""The keys of a cluster."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from grader.cohort.executor.keys import CA, CERTIFICATE, KEY, known_keys, make_keys
from grader.errors import UsageError


def connects(server: Path, client: Path) -> bool:
    """Whether two with these keys trust each other, as Dask has them do: both show what they have."""
    ends = []
    for folder, purpose in ((server, ssl.Purpose.CLIENT_AUTH), (client, ssl.Purpose.SERVER_AUTH)):
        context = ssl.create_default_context(purpose, cafile=str(folder / CA))
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(folder / CERTIFICATE, folder / KEY)
        ends.append((context, ssl.MemoryBIO(), ssl.MemoryBIO()))
    (here, a, b), (there, _, _) = ends
    both = [here.wrap_bio(a, b, server_side=True), there.wrap_bio(b, a)]
    done = set()
    for _ in range(10):
        for side in both:
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return len(done) == 2


def test_who_has_the_keys_is_let_in(tmp_path: Path) -> None:
    make_keys(tmp_path / "ours")
    make_keys(tmp_path / "others")
    assert not connects(tmp_path / "ours", tmp_path / "others")
    assert connects(tmp_path / "ours", tmp_path / "ours")


def test_only_their_owner_reads_them(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()}
    assert modes == {CA: 0o600, CERTIFICATE: 0o600, KEY: 0o600}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert known_keys(tmp_path / "keys") == {
        name: str(tmp_path / "keys" / name) for name in (CA, CERTIFICATE, KEY)
    }
    (tmp_path / "keys" / KEY).chmod(0o640)
    with pytest.raises(UsageError, match=r"others can read key\.pem"):
        known_keys(tmp_path / "keys")


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists: name a new folder"):
        make_keys(tmp_path)
    with pytest.raises(UsageError, match="cannot be made: No such file or directory"):
        make_keys(tmp_path / "none" / "keys")


def test_no_keys(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no ca\.pem"):
        known_keys(tmp_path)
