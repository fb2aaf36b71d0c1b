"""The S3 endpoint of a cell: a server of its own for each use, looked into from the grader's side."""

from __future__ import annotations

import contextlib
import re
import selectors
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus
from xml.etree import ElementTree

from grader import command as process
from grader.errors import GraderFault
from grader.files import open_tree
from grader.runtime.helpers.jail import Wall, interpreter_paths, jailed
from grader.runtime.services import s3_server
from grader.runtime.temporary import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SCRIPT = Path(s3_server.__file__)
_START_SECONDS = 120
"""Importing the server takes half a second of computing; machines may be busy."""
_TAIL = 4000
_MAX_KEYS = 1000
_MAX_ANSWER = s3_server.MAX_STORED
_NAME = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""Of a bucket, as S3 has it; the server is less strict."""
_ANYBODY = "AWS4-HMAC-SHA256 Credential=grader/20260101/us-east-1/s3/aws4_request"
"""Signatures are not looked at, but objects are shown to nobody who does not sign."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content: bytes


_NONE = _Answer(0, b"")
"""Of an endpoint that what it was sent keeps from answering."""


class ObjectStore:
    """A running endpoint. It takes any credentials.

    What it holds is the candidate's, and where that keeps it from answering it holds nothing: only where an
    endpoint that no candidate has met answers no better is that a fault.
    """

    def __init__(self, directory: Path, try_another: Callable[[], None] | None = None) -> None:
        """Ask an endpoint that runs.

        Args:
            try_another: asks one that no candidate has met, and raises GraderFault.
        """
        import httpx

        from grader.runtime.services.http import PLAIN

        self.socket = directory / s3_server.SOCKET
        """Where candidates find it."""
        self._try_another = try_another
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(directory / s3_server.OWN_SOCKET), verify=PLAIN),
            base_url="http://localhost",
            headers={"Authorization": _ANYBODY},
            timeout=60,
            trust_env=False,
        )

    def make_bucket(self, name: str) -> bool:
        """Make a bucket that keeps versions, as some remotes need; False where S3 allows no such name.

        Raises:
            GraderFault: the endpoint does not answer.
        """
        if not _NAME.fullmatch(name) or self._ask("PUT", f"/{name}").status != 200:
            return False
        versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        return self._ask("PUT", f"/{name}?versioning", versioning).status == 200

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys of a bucket that begin so, in order; as many as one answer names."""
        query = f"list-type=2&encoding-type=url&max-keys={_MAX_KEYS}&prefix={quote(prefix, safe='')}"
        answer = self._ask_again("GET", f"/{quote(bucket, safe='')}?{query}")
        if answer.status != 200 or s3_server.ENTITIES in answer.content:
            return []
        try:
            root = ElementTree.fromstring(answer.content)  # noqa: S314  (it declares no entities)
        except ElementTree.ParseError:
            return []
        return [unquote_plus(key.text or "") for key in root.iter() if key.tag.rpartition("}")[2] == "Key"]

    def read(self, bucket: str, key: str) -> bytes | None:
        """An object's content; None where there is none."""
        answer = self._ask_again("GET", f"/{quote(bucket, safe='')}/{quote(key)}")
        return answer.content if answer.status == 200 else None

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()

    def _ask_again(self, method: str, path: str) -> _Answer:
        """Ask what candidates have met."""
        try:
            return self._ask(method, path)
        except GraderFault:
            if self._try_another is None:
                raise
            self._try_another()
            return _NONE

    def _ask(self, method: str, path: str, body: str = "") -> _Answer:
        import httpx

        try:
            with self._client.stream(method, path, content=body.encode()) as response:
                content = bytearray()
                for chunk in response.iter_raw():
                    content += chunk
                    if len(content) > _MAX_ANSWER:
                        return _NONE
                return _Answer(response.status_code, bytes(content))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise GraderFault(f"the S3 endpoint does not answer: {error}") from error


@contextlib.contextmanager
def open_store(directory: Path, bwrap: Wall | None) -> Iterator[ObjectStore]:
    """An empty endpoint, as long as the block lasts; only in the thread that it began in.

    Args:
        directory: a private one, made here.
        bwrap: what walls the server off; None runs it in the open.

    Raises:
        GraderFault: it does not start.
    """
    directory.mkdir(parents=True)
    log = directory / "log"
    with log.open("wb") as errors:
        server = _start(directory.resolve(), bwrap, errors.fileno())
    store = ObjectStore(directory.resolve(), lambda: _try_empty(directory / "another", bwrap))
    try:
        if not _ready(server):
            raise GraderFault("the S3 endpoint does not start", log_tail=_tail(log))
        yield store
    finally:
        store.close()
        process.end_group(server)
        for stream in (server.stdin, server.stdout):
            if stream is not None:
                stream.close()


def _try_empty(directory: Path, bwrap: Wall | None) -> None:
    """Whether it is not only one endpoint that does not answer."""
    with open_store(directory, bwrap) as store:
        store.make_bucket("empty")
    remove_tree(directory)


def _tail(log: Path) -> str:
    content = open_tree(log.parent).read(log.name, 2 * s3_server.MAX_LOG) or b""
    return content[-_TAIL:].decode("utf-8", "replace")


def _start(directory: Path, bwrap: Wall | None, errors: int) -> subprocess.Popen[bytes]:
    readable, hidden = interpreter_paths()
    # The script is handed over as text: the package that it lies in stays out of the server's sight.
    argv = jailed(
        [sys.executable, "-I", "-c", _SCRIPT.read_text(encoding="utf-8"), directory],
        bwrap=bwrap,
        readable=readable,
        hidden=hidden,
        writable=[directory],
        # Each thread's own arena would reserve more than its share of the addresses that there are.
        env={"PYTHONDONTWRITEBYTECODE": "1", "MALLOC_ARENA_MAX": "2"},
    )
    try:
        return subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    except OSError as error:
        raise GraderFault(f"cannot start the S3 endpoint: {error.strerror}") from error


def _ready(server: subprocess.Popen[bytes]) -> bool:
    """Whether it says so in time, rather than ending."""
    assert server.stdout is not None  # noqa: S101
    deadline = time.monotonic() + _START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(server.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if selector.select(left):
                return server.stdout.readline().strip() == b"ready"
    return False
