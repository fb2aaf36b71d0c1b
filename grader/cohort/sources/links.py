"""The page that a platform makes of a text or an address which somebody handed in instead of files."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from grader.files import open_tree

if TYPE_CHECKING:
    from pathlib import Path

MAX_PAGE = 2**20
MAX_URL = 2000

_URL = re.compile(
    r"""(?:https?|ssh|git|file|ext)(?:::|://)[^\s"'<>\\^`{|}\x00-\x20\x7f]+|\bgit@[\w.-]+:[\w./~-]+"""
)
_TRAILING = ".,;:!?)]}"
_NO_REPOSITORY = re.compile(r"https?://(?:www\.w3\.org|fonts\.|cdn\.|docs\.google\.|drive\.google\.)")
_PAGE_OF_HOST = re.compile(
    r"(?P<repository>https://[^/]+/.+?)(?:/-)?/(?:tree|commit|commits|blob|releases/tag|src/branch|src/tag)/"
    r"(?P<revision>[^/?#]+)(?:[/?#].*)?"
)
_FORGES = re.compile(r"https://(?:[\w-]+\.)*(?:github|gitlab|bitbucket|codeberg|gitea|sr)\.[\w.-]+/|\.git$")


@dataclass(frozen=True, slots=True)
class Link:
    """The repository that a page names, or why there is none to be had."""

    source: str = ""
    """`URL` or `URL@REVISION`, by `https` alone: others use what the user may read, not the candidate."""
    unreadable: str = ""


def repository_link(page: Path) -> Link:
    """Find the one repository that a page of a platform names."""
    content = open_tree(page.parent).read(page.name, MAX_PAGE)
    if content is None:
        return Link(unreadable="the text that was handed in is too long or cannot be read")
    text = html.unescape(content.decode("utf-8", "replace"))
    found = dict.fromkeys(
        url.rstrip(_TRAILING)
        for url in _URL.findall(text)
        if len(url) <= MAX_URL and not _NO_REPOSITORY.match(url)
    )
    if len(found) > 1:
        found = {url: None for url in found if _FORGES.search(url)}
    sources = list(dict.fromkeys(map(_repository, found)))
    if not sources:
        return Link(unreadable="a text was handed in, and no address of a repository is in it")
    if len(sources) > 1:
        return Link(
            unreadable=f"a text was handed in with {len(sources)} addresses: which is meant cannot be told"
        )
    if not sources[0].startswith("https://"):
        return Link(unreadable="the address that was handed in is none by https, which alone is cloned")
    return Link(sources[0])


def _repository(url: str) -> str:
    """An address as it stands in a browser as one that git knows."""
    url = url.partition("#")[0].partition("?")[0].rstrip("/")
    if page := _PAGE_OF_HOST.fullmatch(url):
        return f"{page['repository']}@{unquote(page['revision'])}"
    return url
