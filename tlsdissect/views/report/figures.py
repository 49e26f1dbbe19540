"""The figures of a report, drawn from the few columns that they need, as elements of the page."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from xml.etree import ElementTree as ET

from markupsafe import Markup, escape
from matplotlib import rc_context
from msgspec import Struct

from tlsdissect.views.dataframes import Tables, frame
from tlsdissect.views.plots import PLOTS, picture
from tlsdissect.views.tables import TABLES, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from tlsdissect.model.connection import Connection

_KEPT = {
    "connections": (
        "source", "transport", "stream", "start", "version", "cipher_suite", "group", "resumption", "round_trips",
        "hello_retry", "outcome", "failed_by", "alerts", "handshake_bytes_server", "timing_handshake_ms",
        "timing_tcp_ms", "timing_synack_ack_ms", "client_hello_cipher_suites", "client_hello_groups",
    ),
    "certificates": (
        "source", "transport", "stream", "sender", "sha256", "bytes", "subject", "dns_names", "not_before", "not_after",
        "with_keys",
    ),
}  # fmt: skip


MAX_LISTED = 256
"""Cipher suites of a ClientHello, and names of a certificate, that figures count; the rest are ignored."""
_XLINK = "{http://www.w3.org/1999/xlink}href"
_LEFT_OUT = frozenset(("metadata", "style"))
_DEFINED = frozenset(("clipPath", "pattern", "path"))
"""Elements that others refer to by id."""
_GREY = re.compile(r"#([0-3][0-9a-f])\1\1")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_FONT = re.compile(r"(?:(?:bold|\d{3}) )?([\d.]+)px .*")


class Drawn(Struct, frozen=True):
    """A figure in the page."""

    title: str
    svg: Markup


class Figures:
    """Collects the data of the figures, a few hundred bytes per connection."""

    def __init__(self) -> None:
        self._kept = {table.name: _Kept(table) for table in TABLES if table.name in _KEPT}
        self.done = 0
        """Figures that were drawn, or have no data."""

    def add(self, connection: Connection) -> None:
        """Add a connection."""
        for kept in self._kept.values():
            kept.add(connection)

    def drawn(self) -> Iterator[Drawn]:
        """Yield every figure that has data."""
        tables = _Few(self._kept)
        for self.done, (kind, plot) in enumerate(PLOTS.items()):
            if not len(plot.data(tables)):
                continue
            with rc_context({"svg.fonttype": "none"}):
                svg = picture(tables, kind, "svg")
            yield Drawn(plot.title, inline(svg, kind, plot.title))
        self.done = len(PLOTS)


class _Kept:
    """A table of which only some columns are kept."""

    def __init__(self, table: Table) -> None:
        names = _KEPT[table.name]
        self._table = table
        self._places = [at for at, column in enumerate(table.columns) if column.name in names]
        self._rows: list[list[Any]] = []
        self._same: dict[Any, Any] = {}

    def add(self, connection: Connection) -> None:
        for row in self._table.rows(connection):
            self._rows.append([self._one(row[at]) for at in self._places])

    def _one(self, value: Any) -> Any:
        """Keep equal values once: few are distinct."""
        if isinstance(value, tuple | list) and len(value) > MAX_LISTED:
            value = value[:MAX_LISTED]
        if isinstance(value, str | tuple):
            return self._same.setdefault(value, value)
        return value

    def frame(self) -> pd.DataFrame:
        columns = tuple([self._table.columns[at] for at in self._places])
        as_they_are = Table(self._table.name, columns, lambda row: iter([cast("list[Any]", row)]))
        return frame(as_they_are, cast("list[Connection]", self._rows))


class _Few(Tables):
    """Tables with the kept columns."""

    def __init__(self, kept: dict[str, _Kept]) -> None:
        super().__init__(tuple)
        self._kept = kept

    @cached_property
    def connections(self) -> pd.DataFrame:
        return self._kept["connections"].frame()

    @cached_property
    def certificates(self) -> pd.DataFrame:
        return self._kept["certificates"].frame()


def inline(svg: bytes, name: str, label: str) -> Markup:
    """Convert an SVG image of matplotlib to an inline element, with a label for screen readers.

    Styles become presentation attributes (SVG 2 section 6.6), because the page's policy allows no inline styles. Ids
    are prefixed, so that those of several images do not collide. Black becomes the colour of the page's text, and the
    white background is removed.
    """
    root = ET.fromstring(svg)  # noqa: S314  # matplotlib has written it
    inside = "".join(_written(child, name) for child in root)
    return Markup('<svg role="img" aria-label="{}" viewBox="{}" fill="currentColor">{}</svg>').format(
        label,
        root.get("viewBox", ""),
        Markup(inside),  # noqa: S704  # escaped where it was written
    )


def _written(element: ET.Element, name: str) -> str:
    """Serialize an element as HTML."""
    tag = element.tag.rpartition("}")[2]
    if tag in _LEFT_OUT:
        return ""
    inside = f"{escape(element.text or '') if tag in ('text', 'tspan') else ''}"
    inside += "".join(_written(child, name) for child in element)
    attributes = "".join(f' {key}="{escape(value)}"' for key, value in _attributes(element, tag, name).items())
    return f"<{tag}{attributes}>{inside}</{tag}>" if inside or attributes else ""


def _attributes(element: ET.Element, tag: str, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in element.attrib.items():
        if key == "style":
            found.update(_presentation(value, name))
        elif key == "id":
            found |= {"id": f"{name}-{value}"} if tag in _DEFINED else {}
        elif key == _XLINK:
            found["href"] = value.replace("#", f"#{name}-", 1) if value.startswith("#") else value
        else:
            found[key] = _shortened(_referring(value, name))
    return found


def _presentation(style: str, name: str) -> dict[str, str]:
    """Convert a style to presentation attributes."""
    found: dict[str, str] = {}
    for declaration in style.split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key == "font":
            size = _FONT.fullmatch(value)
            found |= {"font-size": size[1]} if size else {}
        elif key:
            found[key] = _coloured(_referring(value, name))
    return found


def _coloured(value: str) -> str:
    if value == "#ffffff":
        return "none"
    return "currentColor" if _GREY.fullmatch(value) else value


def _referring(value: str, name: str) -> str:
    return value.replace("url(#", f"url(#{name}-")


def _shortened(value: str) -> str:
    """Remove invisible digits of numbers, and line ends."""
    return _NUMBER.sub(lambda found: f"{float(found[0]):.2f}", value).replace("\n", " ").strip()
