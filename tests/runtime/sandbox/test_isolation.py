"""What candidate code must not reach. Each attempt is also made without isolation, where it must succeed:
an attempt that fails everywhere would prove nothing.
"""

from __future__ import annotations

import os
import platform
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import grader
from grader.runtime.sandbox.model import Bind
from grader.runtime.sandbox.paths import PYTHON
from tests.runtime.sandbox.isolation import ISOLATED, MARK, Bench, eventually, opened, pids

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=ISOLATED)
def isolated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with opened(request.param, tmp_path_factory.mktemp("scratch")) as sandbox:
        yield Bench(sandbox, tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def open_air(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with opened("none", tmp_path_factory.mktemp("scratch")) as sandbox:
        yield Bench(sandbox, tmp_path_factory.mktemp("workspace"))


def attempt(isolated: Bench, open_air: Bench, code: str, *args: str) -> tuple[str, str]:
    """What a program prints inside, and what it prints in the open."""
    inside, outside = isolated.python(code, *args), open_air.python(code, *args)
    assert (inside.stderr, outside.stderr) == ("", "")
    return inside.stdout.strip(), outside.stdout.strip()


READ = """
    import os, sys
    for path in sys.argv[1:]:
        try: print(len(os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)) > 0, end=" ")
        except OSError as error: print(error.strerror, end=" ")
"""


def test_files_of_the_machine_are_not_there(isolated: Bench, open_air: Bench, tmp_path: Path) -> None:
    other = tmp_path / "another-submission"
    other.mkdir()
    (other / "train.py").write_text("x")
    ours = Path(grader.__file__).parent
    paths = [
        other / "train.py",
        Path("/etc/shadow"),
        ours / "results.py",
        ours.parent / "tests/__init__.py",
        Path.home() / ".profile",
    ]
    paths = [path for path in paths if os.access(path, os.R_OK)]
    inside, outside = attempt(isolated, open_air, READ, *map(str, paths))
    assert inside == " ".join(["No such file or directory"] * len(paths))
    assert outside.startswith("True")


def test_nothing_of_the_host_is_in_the_usual_places(isolated: Bench) -> None:
    places = ("/home/candidate", "/tmp", "/run", "/root", "/mnt")
    code = "import os, sys; print([os.listdir(path) for path in sys.argv[1:] if os.path.isdir(path)])"
    inside = isolated.python(code, *places).stdout
    shown = "['.pyenv']" if PYTHON.is_relative_to("/root/.pyenv") else "[]"
    assert inside in {f"[[], [], [], {shown}]\n", "[[], [], []]\n"}


@pytest.mark.parametrize("isolation", ISOLATED)
def test_what_is_hidden_is_empty_in_a_directory_that_is_shown(isolation: str, tmp_path: Path) -> None:
    shown, secret = tmp_path / "shown", tmp_path / "shown/lib/grader"
    secret.mkdir(parents=True)
    (secret / "answers").write_text("42")
    (shown / "lib/other").write_text("x")
    with opened(isolation, tmp_path / isolation, hidden=(secret,)) as sandbox:
        bench = Bench(sandbox, tmp_path)
        run = bench.run("ls", "-A", str(secret), str(shown / "lib"), binds=(Bind(shown),))
        assert (run.stdout.split(), run.ok) == ([f"{shown}/lib:", "grader", "other", f"{secret}:"], True)


WRITE = """
    import os, sys
    for path in sys.argv[1:]:
        try:
            open(os.path.join(path, "grader-test"), "x").close()
            os.unlink(os.path.join(path, "grader-test"))
            print("written", end=" ")
        except OSError as error: print(error.strerror, end=" ")
"""


def test_only_the_workspace_is_writable(isolated: Bench, open_air: Bench, tmp_path: Path) -> None:
    (tmp_path / "bound").mkdir()
    places = ["/", "/usr", "/etc", "/dev", "/grader/inside", "/var", "/run", "/grader"]
    run = isolated.python(WRITE, *places, str(tmp_path / "bound"), binds=(Bind(tmp_path / "bound"),))
    answers = run.stdout.replace("Read-only file system", "no").replace("Permission denied", "no").split()
    assert answers == ["no"] * 9
    assert isolated.python(WRITE, ".", "/tmp", "/dev/shm", "/var/tmp").stdout == "written " * 4
    assert open_air.python(WRITE, str(tmp_path)).stdout == "written "


def test_kernel_settings_cannot_be_written(isolated: Bench) -> None:
    code = """
        import os
        shared = [name for name in os.listdir("/proc") if not name.isdigit() and "self" not in name]
        paths = [f"/proc/{name}" for name in shared]
        paths += [f"{top}/{name}" for path in paths for top, _, names in os.walk(path) for name in names]
        print(len(paths) > 100, [path for path in paths if os.access(path, os.W_OK) and os.path.isfile(path)])
    """
    assert isolated.python(code).stdout == "True []\n"


def test_there_is_no_network(isolated: Bench, open_air: Bench) -> None:
    code = """
        import socket, sys
        print(sorted(name for _, name in socket.if_nameindex()))
        try: socket.create_connection(("192.0.2.1", 53), timeout=0.5)
        except OSError as error: print(type(error).__name__, error.errno)
        try: socket.getaddrinfo("example.org", 80); print("resolved")
        except socket.gaierror: print("unknown")
        try: print(socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=1).recv(2))
        except OSError as error: print(error.strerror)
        try:
            s = socket.socket(socket.AF_UNIX); s.connect("\\0" + sys.argv[2]); print(s.recv(2))
        except OSError as error: print(error.strerror)
    """
    with greeter(socket.AF_INET, ("127.0.0.1", 0)) as port, greeter(socket.AF_UNIX, "\0grader-test-abstract"):
        inside, outside = attempt(isolated, open_air, code, str(port), "grader-test-abstract")
    assert inside.splitlines() == [
        "['lo']",
        "OSError 101",
        "unknown",
        "Connection refused",
        "Connection refused",
    ]
    assert outside.splitlines()[-2:] == ["b'hi'", "b'hi'"]


def test_the_names_of_services_are_the_loopback(isolated: Bench) -> None:
    names = ["localhost", "mlflow", "minio", "s3", "localstack"]
    code = (
        "import socket, sys; print({n: socket.gethostbyname(n) for n in sys.argv[1:]}, socket.gethostname())"
    )
    assert isolated.python(code, *names).stdout == f"{dict.fromkeys(names, '127.0.0.1')} localhost\n"


def test_other_processes_cannot_be_seen_or_ended(isolated: Bench, open_air: Bench) -> None:
    code = """
        import os, sys
        processes = [name for name in os.listdir("/proc") if name.isdigit()]
        print(os.path.exists(f"/proc/{sys.argv[1]}/cmdline"), len(processes) <= 2)
        try: os.kill(int(sys.argv[1]), 0); print("reached")
        except OSError as error: print(error.strerror)
    """
    inside, outside = attempt(isolated, open_air, code, str(os.getpid()))
    assert (inside, outside) == ("False True\nNo such process", "True False\nreached")


def test_the_first_process_cannot_be_ended_from_within(isolated: Bench) -> None:
    run = isolated.run(
        "sh", "-c", "kill -9 1; kill -TERM 1; kill -INT 1; kill -HUP 1; sleep 0.1; echo still; exit 7"
    )
    assert (run.stdout, run.returncode) == ("still\n", 7)


def test_there_are_no_privileges_to_be_had(isolated: Bench) -> None:
    code = """
        import ctypes, os
        status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
        capabilities = {value.strip() for name, value in status.items() if name.startswith("Cap")}
        print(os.getuid(), os.getgid(), capabilities, status["NoNewPrivs"].strip())
        libc = ctypes.CDLL(None, use_errno=True)
        for flag in (0x10000000, 0x20000, 0x40000000):
            print(libc.unshare(flag), end=" ")
        print(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None), libc.chroot(b"/tmp"), end=" ")
        print(libc.sethostname(b"x", 1))
    """
    user = isolated.user
    assert isolated.python(code).stdout == f"{user} {user} {{'0000000000000000'}} 1\n-1 -1 -1 -1 -1 -1\n"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86_64")
def test_calls_that_reach_beyond_a_run_are_refused(isolated: Bench) -> None:
    code = """
        import ctypes, errno
        libc = ctypes.CDLL(None, use_errno=True)
        calls = {"keyctl": (250, 0, -3, 1), "add_key": (248, 0, 0, 0), "bpf": (321, 0, 0, 0),
                 "perf_event_open": (298, 0, 0, 0), "userfaultfd": (323, 0), "io_uring_setup": (425, 1, 0),
                 "ptrace": (101, 16902, 1, 0, 0),
                 "pidfd_getfd": (438, 0, 0, 0), "mount": (165, 0, 0, 0, 0, 0),
                 "setns": (308, 0, 0), "open_by_handle_at": (304, 0, 0, 0), "fsopen": (430, 0, 0),
                 "memfd_secret": (447, 0), "prlimit64": (302, 1, 7, 0, 0),
                 "unshare": (272, 0x10000000), "clone": (56, 0x10000000, 0, 0, 0, 0)}
        # Netlink's neighbour, the kernel's ciphers and packets, and the host of a virtual machine.
        calls |= {f"socket {family}": (41, family, 1, 0) for family in (0, 3, 15, 17, 38, 40, 44)}
        for family in (1, 2, 10):
            if libc.syscall(41, family, 1, 0) == -1: print("no socket", family)
        if libc.syscall(41, 16, 3, 0) == -1: print("no netlink")
        if libc.syscall(302, 0, 7, 0, 0) == -1: print("no limits of one's own")
        refused = {errno.EPERM, errno.ENOSYS, errno.ENOSPC, errno.EACCES, errno.EAFNOSUPPORT}
        for name, words in calls.items():
            ctypes.set_errno(0)
            if libc.syscall(*words) != -1 or ctypes.get_errno() not in refused:
                print(name, errno.errorcode.get(ctypes.get_errno()))
    """
    run = isolated.python(code)
    assert (run.stdout, run.stderr, run.ok) == ("", "", True)


def test_root_of_the_machine_is_not_root_inside(isolated: Bench) -> None:
    process = isolated.sandbox.start(isolated.job("sleep", "60"))
    assert eventually(isolated.survivors)
    owners = {Path(f"/proc/{pid}").stat().st_uid for pid in pids(isolated.mark)}
    process.stop()
    assert len(owners) == 1
    assert owners != {0}


def test_what_a_run_may_write_is_its_own_and_the_graders(isolated: Bench) -> None:
    (isolated.workspace / "ours/deep").mkdir(parents=True)
    (isolated.workspace / "ours/deep/file").write_text("x")
    (isolated.workspace / "ours/link").symlink_to("/etc/hostname")
    code = """
        import os
        found = [os.path.join(top, name) for top, _, names in os.walk("ours") for name in names]
        print({os.lstat(path).st_uid for path in found})
        open("ours/deep/file", "w").write("theirs"); os.mkdir("ours/deep/new"); os.chmod("ours/deep/new", 0)
    """
    first, second = isolated.python(code), isolated.run("rmdir", "ours/deep/new")
    assert (first.stdout, first.stderr, second.ok) == (f"{{{isolated.user}}}\n", "", True)
    assert (isolated.workspace / "ours/deep/file").read_text() == "theirs"
    assert Path("/etc/hostname").stat().st_uid == 0


def test_a_file_with_the_set_user_bit_gives_nothing(isolated: Bench) -> None:
    run = isolated.run(
        "sh", "-c", "cp /bin/cat c; chmod 6755 c; ./c /proc/self/status | grep -E '^(Uid|CapEff)'"
    )
    assert run.stdout.split() == ["Uid:", *[str(isolated.user)] * 4, "CapEff:", "0" * 16]


def test_nothing_of_the_grader_is_inherited(isolated: Bench) -> None:
    code = """
        import os
        print(sorted(os.listdir("/proc/self/fd"))[:3], len(os.listdir("/proc/self/fd")))
        variables = open("/proc/self/environ").read().split("\\0")
        print(sorted(line.split("=")[0] for line in variables if line))
    """
    run = isolated.python(code)
    assert run.stdout.splitlines() == ["['0', '1', '2'] 4", str(sorted(["HOME", "LANG", "PATH", MARK]))]


class greeter:  # noqa: N801  (reads as a function)
    """Says hi to whoever connects."""

    def __init__(self, family: int, address: object) -> None:
        self._server = socket.socket(family)
        self._server.bind(address)  # type: ignore[arg-type]
        self._server.listen()

    def __enter__(self) -> object:
        self._thread = threading.Thread(target=self._greet)
        self._thread.start()
        name = self._server.getsockname()
        return name[1] if isinstance(name, tuple) else name

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _greet(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"hi")
