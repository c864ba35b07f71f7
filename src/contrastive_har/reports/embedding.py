"""What a page embeds: compressed text, and pictures with few colours, so that it is one small file."""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

_COLOURS = 128  # of an embedded picture; figures have fewer, but for the shades of smoothed edges


def embed_plotly() -> str:
    """Return Plotly's JavaScript, for the page's ``unpack``."""
    return _pack(resources.files("plotly").joinpath("package_data/plotly.min.js").read_bytes())


def embed_charts(charts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return charts by name, for the page's ``unpack``."""
    return _pack(json.dumps(charts, separators=(",", ":")).encode())


def embed_picture(picture: bytes) -> str:
    """Return a PNG as the address of an image."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as image:
        few = image.convert("RGB").quantize(_COLOURS)
        stored = io.BytesIO()
        few.save(stored, "PNG", optimize=True)
    smallest = min(stored.getvalue(), picture, key=len)
    return f"data:image/png;base64,{base64.b64encode(smallest).decode()}"


def _pack(text: bytes) -> str:
    # Without the time of writing, the same content gives the same page.
    return base64.b64encode(gzip.compress(text, mtime=0)).decode()
