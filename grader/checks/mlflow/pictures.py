"""Whether a file is a valid image, judged by its content and not its name."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

MAX_BYTES = 20 * 2**20
MAX_PIXELS = 50_000_000
MAX_PICTURES = 60
MAX_PIXELS_IN_ALL = 250_000_000
MAX_SIDE = 480
"""Pixels of a thumbnail."""
MAX_THUMBNAIL = 24 * 1024
"""Bytes of it: it is kept with each result."""
_LEAST_SIDE = 16
"""Minimum width and height in pixels: a plot is unreadable below that."""
_DRAWN = {"path", "rect", "text", "image", "line", "polygon", "polyline", "circle", "use", "tspan"}
_HTML_PICTURE = re.compile(rb"<(?:img|svg|canvas|table)\b|plotly|vega|bokeh|echarts", re.IGNORECASE)
_TOO_LARGE = "too large for a plot"


@dataclass(frozen=True, slots=True)
class Judged:
    """What is to be said of an image."""

    problem: str
    """Why it is not a valid one; empty if it is."""
    thumbnail: bytes = b""
    """It as a small PNG, where it could be decoded."""


class Gallery:
    """Checks the images of one submission, with a common budget for decoding them."""

    def __init__(self) -> None:
        self._pictures = MAX_PICTURES
        self._pixels = MAX_PIXELS_IN_ALL

    def judge(self, name: str, data: bytes | None) -> Judged:
        """Whether a file is a valid image.

        Args:
            name: its ending says what to expect.
            data: None where it cannot be read, or is larger than `MAX_BYTES`.
        """
        if data is None or len(data) > MAX_BYTES:
            return Judged(_TOO_LARGE)
        if not data:
            return Judged("it is empty")
        self._pictures -= 1
        if self._pictures < 0:
            return Judged(f"not checked: there are more than {MAX_PICTURES} images")
        match PurePosixPath(name).suffix.lower():
            case ".svg":
                return Judged(_svg(data))
            case ".pdf":
                valid = data.startswith(b"%PDF-") and b"/Page" in data
                return Judged("" if valid else "not a PDF page")
            case ".html" | ".htm":
                return Judged("" if _HTML_PICTURE.search(data) else "the page shows no image")
            case _:
                return self._raster(data)

    def _raster(self, data: bytes) -> Judged:
        from PIL import Image, UnidentifiedImageError

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bound here is lower
                with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                    pixels = image.width * image.height
                    if pixels > min(MAX_PIXELS, self._pixels):
                        return Judged(_TOO_LARGE)
                    if min(image.size) < _LEAST_SIDE:
                        return Judged(f"only {image.width} x {image.height} pixels")
                    self._pixels -= pixels
                    shades = image.convert("L").getextrema()
                    drawn = _thumbnail(image)
        except UnidentifiedImageError:
            return Judged("not an image")
        except (Image.DecompressionBombError, MemoryError):
            return Judged(_TOO_LARGE)
        except Exception as error:  # decoders raise whatever they stumble over
            return Judged(f"cannot be decoded: {error}")
        return Judged("it is blank" if shades[0] == shades[1] else "", drawn)


def _thumbnail(image: Image.Image) -> bytes:
    """It is for people who look again: that it cannot be made is no problem of the image."""
    for side, colours in ((MAX_SIDE, 64), (MAX_SIDE // 2, 16)):
        with contextlib.suppress(Exception, MemoryError):
            drawn = draw_anew(image, side, colours)
            if len(drawn) <= MAX_THUMBNAIL:
                return drawn
    return b""


def draw_anew(image: Image.Image, longest: int, colours: int) -> bytes:
    """A PNG of an image that was opened, with none of its texts, profiles and other chunks.

    Args:
        longest: its longer side, at most, in pixels.
    """
    from PIL import Image

    small = image.copy()
    small.thumbnail((longest, longest))
    # On white, as plots are meant.
    ground = Image.new("RGBA", small.size, "white")
    ground.alpha_composite(small.convert("RGBA"))
    out = io.BytesIO()
    ground.convert("RGB").quantize(colours).save(out, "PNG", optimize=True)
    return out.getvalue()


_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def _svg(data: bytes) -> str:
    """Element by element, so that nothing of it is kept; expat refuses entities that grow without end."""
    first, drawn = "", False

    def begin(tag: str, _: object) -> None:
        nonlocal first, drawn
        name = tag.rpartition("}")[2]
        first, drawn = first or name, drawn or name in _DRAWN

    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartElementHandler = begin
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last of an unknown encoding
        return f"not valid SVG: {error}"
    if first != "svg":
        return "not an SVG drawing"
    return "" if drawn else "the drawing is empty"


def says(path: str, words: Sequence[str]) -> bool:
    """Whether a file's path has one of the words in it; short ones (`cm`) only as a whole word."""
    name = str(PurePosixPath(path).with_suffix("")).lower()
    tokens = set(re.split(r"[^a-z0-9]+", name))
    return any(word in tokens or (len(word) > 3 and word in name) for word in words)
