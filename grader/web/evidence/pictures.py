"""Pictures of candidates, drawn anew: no byte of theirs reaches a browser."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import PurePosixPath

from markupsafe import Markup

from grader.checks.mlflow.pictures import draw_anew
from grader.web.evidence.template import render

MAX_BYTES = 8 * 2**20
MAX_PIXELS = 20_000_000
MAX_SIDE = 640
"""Pixels of what is shown."""
COLOURS = 128
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg"}


def is_picture(path: str) -> bool:
    """Whether a file's name promises a picture."""
    return PurePosixPath(path).suffix.lower() in ENDINGS


def picture(content: bytes, name: str) -> Markup:
    """A picture as we draw it, or why there is none.

    Args:
        name: what it is called, for those who cannot see it.
    """
    if PurePosixPath(name).suffix.lower() == ".svg":
        return render("gone", reason="An SVG drawing of a candidate is never shown: it is a program.")
    drawn = redraw(content)
    if isinstance(drawn, str):
        return render("gone", reason=f"The picture cannot be shown: {drawn}.")
    data, width, height = drawn
    address = Markup("data:image/png;base64,") + base64.b64encode(data).decode()
    return render("picture", address=address, name=name, width=width, height=height)


def redraw(content: bytes) -> tuple[bytes, int, int] | str:
    """A PNG of the first frame with its width and height, at most MAX_SIDE each; or what is wrong with it."""
    from PIL import Image, UnidentifiedImageError

    if len(content) > MAX_BYTES:
        return f"it has more than {MAX_BYTES:,} bytes"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of decoders; the bound here is lower than theirs
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    return f"{image.width:,} x {image.height:,} pixels are too many"
                image.load()
                data = draw_anew(image, MAX_SIDE, COLOURS)
        with Image.open(io.BytesIO(data), formats=("PNG",)) as drawn:
            return data, drawn.width, drawn.height
    except UnidentifiedImageError:
        return "it is no image"
    except (Image.DecompressionBombError, MemoryError):
        return "it has too many pixels"
    except Exception as error:  # decoders raise whatever they stumble over
        return f"it cannot be decoded ({type(error).__name__})"
