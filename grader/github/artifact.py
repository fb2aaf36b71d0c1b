"""A grade out of another workflow run's artifact: bytes of a stranger, of which nothing is believed."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import TYPE_CHECKING

from grader.errors import UsageError
from grader.report.read import parse_grade

if TYPE_CHECKING:
    from grader.github.api import Api
    from grader.results import Grade

MAX_ARTIFACT_BYTES = 2**24
"""Of the archive; one of the largest has a fiftieth of that."""
MAX_GRADE_BYTES = 2**24
"""Of the document in it: an archive of a few bytes may become any number of them."""
MEMBER = "grade.json"


def fetch_grade(api: Api, repository: str, run: int, name: str) -> Grade:
    """The grade in the newest artifact of that name of a workflow run.

    Raises:
        UsageError: there is none, it is too large, or it is not the document of a grade.
        GraderFault: GitHub does not hand it out.
    """
    listed = api.get(f"/repos/{repository}/actions/runs/{run}/artifacts", name=name, per_page=100)
    match listed:
        case {"artifacts": [*artifacts]}:
            found = [each for each in artifacts if _is_there(each, name)]
        case _:
            found = []
    if not found:
        raise UsageError(f"run {run} has no artifact {name!r}")
    newest = max(found, key=lambda each: int(each["id"]))
    if newest["size_in_bytes"] > MAX_ARTIFACT_BYTES:
        raise UsageError(f"the artifact of run {run} is larger than {MAX_ARTIFACT_BYTES // 2**20} MiB")
    data = api.download(f"/repos/{repository}/actions/artifacts/{newest['id']}/zip", MAX_ARTIFACT_BYTES)
    return parse_grade(_member(data, run), f"{MEMBER} of run {run}")


def _is_there(artifact: object, name: str) -> bool:
    match artifact:
        case {"name": str(found), "expired": False, "id": int(), "size_in_bytes": int()}:
            return found == name
    return False


def _member(data: bytes, run: int) -> bytes:
    """The document in an archive. It is read here, so no name in the archive is ever a path."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entry = archive.getinfo(MEMBER)
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UsageError(f"{MEMBER} of run {run} is compressed in an unusual way")
            with archive.open(entry) as file:
                content = file.read(MAX_GRADE_BYTES + 1)
    except KeyError:
        raise UsageError(f"the artifact of run {run} has no {MEMBER}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"the artifact of run {run} is not a valid archive: {error}") from None
    if len(content) > MAX_GRADE_BYTES:
        raise UsageError(f"{MEMBER} of run {run} is larger than {MAX_GRADE_BYTES // 2**20} MiB")
    return content
