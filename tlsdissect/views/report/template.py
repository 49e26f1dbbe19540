"""The parts of a page as text: what a capture might smuggle in is escaped, and would not run."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from msgspec.json import encode

_SCRIPTS = ("data.js", "grid.js", "ladder.js", "tree.js", "connection.js", "page.js")
"""In the order in which they stand in the page, as one."""
_LOADER = PackageLoader("tlsdissect.views.report", ".")
_PACKED = re.compile(r"[A-Za-z0-9+/=]*")


def head(*, settings: dict[str, Any], **told: Any) -> str:
    """Write all of the page before its data."""
    environment = Environment(
        loader=_LOADER, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["breakable"] = _breakable
    style = _source("report.css")
    grids = {name: told[name].columns for name in ("connections", "certificates")}
    return environment.get_template("report.html").render(
        policy=_policy(style, _script()),
        style=Markup(style),  # noqa: S704  # the program's own
        settings=_harmless({**settings, "columns": grids}),
        **told,
    )


def data(name: str, text: str) -> str:
    """Write what was packed as an element that runs nothing."""
    if not _PACKED.fullmatch(text):
        raise ValueError(f"{name}: not in base64")
    return f'<script type="text/plain" id="{escape(name)}">{text}</script>\n'


def end() -> str:
    """Write what comes behind the data."""
    return f"<script>{_script()}</script>\n"


@cache
def _script() -> str:
    parts = "\n".join(_source(name) for name in _SCRIPTS)
    return f'"use strict";\n{{\n{parts}}}\n'


def _source(name: str) -> str:
    return _LOADER.get_source(Environment(autoescape=True), name)[0]


def _policy(style: str, script: str) -> str:
    """Nothing is loaded from anywhere, and only this script runs, whatever a capture might smuggle in.

    Content Security Policy Level 3; Trusted Types keep the script itself from making markup of text. Figures hold
    pictures as data.
    """
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _breakable(text: str) -> Markup:
    """A name that may go on in the next line behind each underscore."""
    return Markup("_<wbr>").join(text.split("_"))


def _harmless(value: object) -> Markup:
    """JSON that ends no script element."""
    return Markup(encode(value).decode().replace("<", "\\u003c"))  # noqa: S704  # no markup is left in it
