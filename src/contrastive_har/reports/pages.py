"""Templates of pages."""

from __future__ import annotations

import re
from typing import Any

import jinja2

_MARKDOWN = re.compile(r"[\\`|<\[]")  # what begins code, columns, HTML or links


def page_template(name: str) -> jinja2.Template:
    """Return a template of this package; texts are escaped as its kind of file needs it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("contrastive_har.reports"),
        autoescape=name.endswith(".html.j2"),
        finalize=escape_markdown if name.endswith(".md.j2") else None,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def escape_markdown(value: Any) -> Any:
    """Return a text on one line without links, HTML and columns; other values, and what is Markdown, as they are."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return " ".join(_MARKDOWN.sub(r"\\\g<0>", value).splitlines())
