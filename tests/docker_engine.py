"""A Docker engine for tests: one of our own, started once, where root and dockerd are there."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import shutil
import socket
import subprocess
import sysconfig
import tarfile
import tempfile
import time
import zipfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import docker
import pytest

from grader.runtime.sandbox.paths import PYTHON

BASE = "python:3.11-slim"
PROGRAMS = ("sh", "cat", "cp", "dd", "env", "false", "head", "ls", "mkdir", "sleep", "test", "true", "yes")
WHEEL = "tiny-1.0-py3-none-any.whl"
START_SECONDS = 60


def use_engine(monkeypatch: pytest.MonkeyPatch) -> docker.DockerClient:
    """A client of the engine, which `DOCKER_HOST` names in this test; skips the test where there is none."""
    address, complaint = _engine()
    if not address:
        pytest.skip(complaint)
    monkeypatch.setenv("DOCKER_HOST", address)
    return docker.DockerClient(base_url=address)


@cache
def _engine() -> tuple[str, str]:
    """Its address, or why there is none."""
    if os.geteuid() != 0:
        return "", "only root can start a Docker engine"
    if shutil.which("dockerd") is None:
        return "", "there is no Docker engine (apt-get install docker.io)"
    directory = Path(tempfile.mkdtemp(prefix="grader-engine-", dir="/var/tmp"))
    for driver in ("overlay2", "vfs"):
        daemon = _start(directory, driver)
        if _answers(directory, daemon):
            atexit.register(_stop, daemon, directory)
            return f"unix://{directory}/docker.sock", ""
        _end(daemon)
    log = (directory / "log").read_text()[-500:]
    _remove(directory)
    return "", f"the Docker engine does not start: {log}"


def _start(directory: Path, driver: str) -> subprocess.Popen[bytes]:
    words = [
        *("setpriv", "--pdeathsig", "TERM", "dockerd", "--iptables=false", "--ip6tables=false"),
        *("--bridge=none", f"--storage-driver={driver}", f"--host=unix://{directory}/docker.sock"),
        *(f"--data-root={directory}/data", f"--exec-root={directory}/exec", f"--pidfile={directory}/pid"),
    ]
    with (directory / "log").open("ab") as log:
        return subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)


def _answers(directory: Path, daemon: subprocess.Popen[bytes]) -> bool:
    """Whether it comes to listen, which it does last."""
    deadline = time.monotonic() + START_SECONDS
    while daemon.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as trial:
            trial.connect(f"{directory}/docker.sock")
            return True
        time.sleep(0.1)
    return False


def _stop(daemon: subprocess.Popen[bytes], directory: Path) -> None:
    _end(daemon)
    _remove(directory)


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(20)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _remove(directory: Path) -> None:
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for path in sorted((path for path in mounted if path.startswith(f"{directory}/")), reverse=True):
        subprocess.run(["umount", "-l", path], check=False)
    shutil.rmtree(directory, ignore_errors=True)


def base_image(client: docker.DockerClient) -> str:
    """This machine's Python with a shell as `python:3.11-slim`, and an index of one package, `tiny`."""
    if not client.images.list(BASE):
        with tempfile.TemporaryFile() as archive:
            with tarfile.open(fileobj=archive, mode="w") as tar:
                _fill(tar)
            archive.seek(0)
            repository, _, tag = BASE.partition(":")
            changes = ["ENV PATH=/usr/local/bin:/usr/bin:/bin", "ENV PYTHONPATH=/opt/pip", 'CMD ["python"]']
            client.api.import_image_from_data(archive.read(), repository=repository, tag=tag, changes=changes)
    return str(client.images.get(BASE).id)


def _fill(tar: tarfile.TarFile) -> None:
    standard = Path(sysconfig.get_path("stdlib"))
    programs = [Path(found).resolve() for name in PROGRAMS if (found := shutil.which(name))]
    names = dict(zip((f"bin/{name}" for name in PROGRAMS if shutil.which(name)), programs, strict=True))
    names |= {os.fspath(PYTHON)[1:]: PYTHON}
    for library in _libraries([PYTHON, *programs, *(standard / "lib-dynload").glob("*.so")]):
        names[os.fspath(library)[1:]] = library
    for name, path in names.items():
        tar.add(path.resolve(), name)
    unwanted = {"test", "tests", "site-packages", "dist-packages", "idlelib", "tkinter"}
    for source, target in ((standard, os.fspath(standard)[1:]), (_pip(), "opt/pip/pip")):
        tar.add(source, target, filter=lambda member: None if Path(member.name).name in unwanted else member)
    for name in ("python", "python3"):
        _add(tar, f"usr/local/bin/{name}", link=os.fspath(PYTHON))
    _add(tar, "usr/local/bin/pip", b'#!/bin/sh\nexec python -m pip "$@"\n')
    _add(tar, "etc/pip.conf", b"[global]\nno-index = true\nfind-links = /opt/wheels\n")
    _add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    _add(tar, f"opt/wheels/{WHEEL}", _wheel())
    _add(tar, "tmp", kind=tarfile.DIRTYPE)


def _libraries(programs: list[Path]) -> set[Path]:
    """What the dynamic linker loads for them, itself included, at the paths where it looks."""
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    words = (word for line in said.splitlines() if line[:1].isspace() for word in line.split())
    return {Path(word) for word in words if word.startswith("/") and Path(word).exists()}


def _pip() -> Path:
    spec = find_spec("pip")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _wheel() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as wheel:
        wheel.writestr("tiny.py", "ANSWER = 42\n")
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(
            "tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return data.getvalue()


def _add(
    tar: tarfile.TarFile, name: str, content: bytes = b"", *, link: str = "", kind: bytes = tarfile.REGTYPE
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = (tarfile.SYMTYPE if link else kind), link, 0o755
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def made_by_us(client: docker.DockerClient) -> list[str]:
    """What is on the engine besides the base image."""
    containers = [each["Id"] for each in client.api.containers(all=True)]
    images = [each["Id"] for each in client.api.images(all=True) if BASE not in (each["RepoTags"] or ())]
    return [*containers, *images, *(layer["ID"] for layer in client.api.df()["BuildCache"] or ())]
