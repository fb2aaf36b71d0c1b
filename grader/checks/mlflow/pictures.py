"""Whether a file is a valid image, judged by its content and not its name."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BYTES = 20 * 2**20
MAX_PIXELS = 50_000_000
MAX_PICTURES = 60
MAX_PIXELS_IN_ALL = 250_000_000
_LEAST_SIDE = 16
"""Minimum width and height in pixels: a plot is unreadable below that."""
_DRAWN = {"path", "rect", "text", "image", "line", "polygon", "polyline", "circle", "use", "tspan"}
_HTML_PICTURE = re.compile(rb"<(?:img|svg|canvas|table)\b|plotly|vega|bokeh|echarts", re.IGNORECASE)
_TOO_LARGE = "too large for a plot"


class Gallery:
    """Checks the images of one submission, with a common budget for decoding them."""

    def __init__(self) -> None:
        self._pictures = MAX_PICTURES
        self._pixels = MAX_PIXELS_IN_ALL

    def problem(self, name: str, data: bytes | None) -> str:
        """Why a file is not a valid image; empty if it is one.

        Args:
            name: its ending says what to expect.
            data: None where it cannot be read, or is larger than `MAX_BYTES`.
        """
        if data is None or len(data) > MAX_BYTES:
            return _TOO_LARGE
        if not data:
            return "it is empty"
        self._pictures -= 1
        if self._pictures < 0:
            return f"not checked: there are more than {MAX_PICTURES} images"
        match PurePosixPath(name).suffix.lower():
            case ".svg":
                return _svg(data)
            case ".pdf":
                return "" if data.startswith(b"%PDF-") and b"/Page" in data else "not a PDF page"
            case ".html" | ".htm":
                return "" if _HTML_PICTURE.search(data) else "the page shows no image"
            case _:
                return self._raster(data)

    def _raster(self, data: bytes) -> str:
        from PIL import Image, UnidentifiedImageError

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bound here is lower
                with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                    pixels = image.width * image.height
                    if pixels > min(MAX_PIXELS, self._pixels):
                        return _TOO_LARGE
                    if min(image.size) < _LEAST_SIDE:
                        return f"only {image.width} x {image.height} pixels"
                    self._pixels -= pixels
                    shades = image.convert("L").getextrema()
        except UnidentifiedImageError:
            return "not an image"
        except (Image.DecompressionBombError, MemoryError):
            return _TOO_LARGE
        except Exception as error:  # decoders raise whatever they stumble over
            return f"cannot be decoded: {error}"
        return "it is blank" if shades[0] == shades[1] else ""


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
