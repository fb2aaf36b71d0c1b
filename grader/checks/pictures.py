"""Whether a file is a real picture: its content, not its name."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

MOST_BYTES = 50 * 2**20
_LEAST_SIDE = 16
"""Pixels; nobody can read a confusion matrix in less."""
_DRAWN = {"path", "rect", "text", "image", "line", "polygon", "polyline", "circle", "use", "tspan"}
_HTML_PICTURE = re.compile(rb"<(?:img|svg|canvas|table)\b|plotly|vega|bokeh|echarts", re.IGNORECASE)


def problem(path: Path) -> str:
    """Why a file is no real picture; empty where it is one. The name's ending says what to expect."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return "it is too large to be a plot"
        data = path.read_bytes()
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if not data:
        return "it is empty"
    match path.suffix.lower():
        case ".svg":
            return _svg(data)
        case ".pdf":
            return "" if data.startswith(b"%PDF-") and b"/Page" in data else "it is not a PDF page"
        case ".html" | ".htm":
            return "" if _HTML_PICTURE.search(data) else "the page shows no picture"
        case _:
            return _raster(path)


def _svg(data: bytes) -> str:
    try:
        root = ElementTree.fromstring(data)  # noqa: S314  (expat refuses entity bombs, resolves nothing)
    except ElementTree.ParseError as error:
        return f"it is not valid SVG: {error}"
    tags = [str(element.tag).rpartition("}")[2] for element in root.iter()]
    if tags[0] != "svg":
        return "it is not an SVG drawing"
    return "" if _DRAWN & set(tags) else "nothing is drawn in it"


def _raster(path: Path) -> str:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")) as image:
                if min(image.size) < _LEAST_SIDE:
                    return f"it is only {image.width} x {image.height} pixels"
                shades = image.convert("L").getextrema()
    except UnidentifiedImageError:
        return "it is not an image"
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombWarning) as error:
        return f"it cannot be decoded: {error}"
    except (Image.DecompressionBombError, MemoryError):
        return "it is too large to be a plot"
    return "it is blank" if shades[0] == shades[1] else ""


def says(path: str, words: Sequence[str]) -> bool:
    """Whether a file's path has one of the words in it; short ones (`cm`) only as a whole word."""
    name = str(PurePosixPath(path).with_suffix("")).lower()
    tokens = set(re.split(r"[^a-z0-9]+", name))
    return any(word in tokens or (len(word) > 3 and word in name) for word in words)
