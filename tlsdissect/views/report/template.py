"""The parts of a page as text. Text from captures is escaped, and the page's policy would not run it anyway."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from msgspec.json import encode

from tlsdissect.views.printable import printable

_SCRIPTS = ("data.js", "grid.js", "ladder.js", "tree.js", "connection.js", "page.js")
"""In the order in which they are joined into one script."""
_LOADER = PackageLoader("tlsdissect.views.report", ".")
_PACKED = re.compile(r"[A-Za-z0-9+/=]*")


def head(*, settings: dict[str, Any], **values: Any) -> str:
    """Render the part of the page before its data; `values` are the variables of the template."""
    environment = Environment(
        loader=_LOADER, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["breakable"] = _breakable
    style = _source("report.css")
    grids = {name: values[name].columns for name in ("connections", "certificates")}
    return environment.get_template("report.html").render(
        policy=_policy(style, _script()),
        style=Markup(style),  # noqa: S704  # the program's own
        settings=_harmless({**settings, "columns": grids}),
        **values,
    )


def data(name: str, text: str) -> str:
    """Return packed data as a script element that is not executed."""
    if not _PACKED.fullmatch(text):
        raise ValueError(f"{name}: not base64")
    return f'<script type="text/plain" id="{escape(name)}">{text}</script>\n'


def end() -> str:
    """Return the part of the page after its data."""
    return f"<script>{_script()}</script>\n"


@cache
def _script() -> str:
    parts = "\n".join(_source(name) for name in _SCRIPTS)
    return f'"use strict";\n{{\n{parts}}}\n'


def _source(name: str) -> str:
    return _LOADER.get_source(Environment(autoescape=True), name)[0]


def _policy(style: str, script: str) -> str:
    """Return a policy that loads nothing and runs only this script, whatever text the captures contain.

    Content Security Policy Level 3. Trusted Types keep the script itself from turning text into markup. Figures contain
    images as data URLs.
    """
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _breakable(text: str) -> Markup:
    """Make a name printable, and allow a line break after each underscore."""
    return Markup("_<wbr>").join(printable(text).split("_"))


def _harmless(value: object) -> Markup:
    """Return JSON that cannot end a script element."""
    return Markup(encode(value).decode().replace("<", "\\u003c"))  # noqa: S704  # contains no markup
