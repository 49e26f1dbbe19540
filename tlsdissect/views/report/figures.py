"""The figures of a report, drawn from the few columns that they need, as elements of the page."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast
from xml.etree import ElementTree as ET

from markupsafe import Markup, escape
from matplotlib import rc_context

from tlsdissect.views.dataframes import Tables, frame
from tlsdissect.views.plots import PLOTS, picture
from tlsdissect.views.report.figure_rows import CERTIFICATES, CONNECTIONS, Drawn, FigureRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.tables import Table

FIGURES = len(PLOTS)
"""How many there are, with and without data."""
_XLINK = "{http://www.w3.org/1999/xlink}href"
_LEFT_OUT = frozenset(("metadata", "style"))
_DEFINED = frozenset(("clipPath", "pattern", "path"))
"""Elements that others refer to by id."""
_GREY = re.compile(r"#([0-3][0-9a-f])\1\1")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_FONT = re.compile(r"(?:(?:bold|\d{3}) )?([\d.]+)px .*")


class Artist(Protocol):
    """Draws the figures of a report."""

    def begin(self, rows: FigureRows) -> None:
        """Begin to draw figures of all rows."""
        ...

    def written(self) -> float:
        """Return the fraction of the figures that are drawn."""
        ...

    def finish(self) -> list[Drawn]:
        """Return every figure that has data."""
        ...


class Figures:
    """Draws the figures in this process."""

    def __init__(self) -> None:
        self._rows = FigureRows([], [], [])
        self._done = 0

    def begin(self, rows: FigureRows) -> None:
        """Remember what is to be drawn."""
        self._rows = rows

    def written(self) -> float:
        """Return the fraction of the figures that are drawn."""
        return self._done / FIGURES

    def finish(self) -> list[Drawn]:
        """Draw every figure that has data."""
        figures = []
        for one in drawn(self._rows):
            self._done += 1
            figures.append(one)
        return [one for one in figures if one is not None]


def drawn(rows: FigureRows, share: int = 0, shares: int = 1) -> Iterator[Drawn | None]:
    """Draw every so many-th figure, one after the other; None for one without data."""
    tables = _Few(rows)
    for kind in list(PLOTS)[share::shares]:
        plot = PLOTS[kind]
        data = plot.data(tables)
        if not len(data):
            yield None
            continue
        with rc_context({"svg.fonttype": "none"}):
            svg = picture(tables, kind, "svg", data=data)
        yield Drawn(plot.title, inline(svg, kind, plot.title))


class _Few(Tables):
    """Tables with the kept columns."""

    def __init__(self, rows: FigureRows) -> None:
        super().__init__(tuple)
        self._rows = rows

    @cached_property
    def connections(self) -> pd.DataFrame:
        return _frame(CONNECTIONS, self._rows.connections)

    @cached_property
    def certificates(self) -> pd.DataFrame:
        return _frame(CERTIFICATES, self._rows.certificates)

    @property
    def failure_reasons(self) -> list[str]:
        return self._rows.failure_reasons


def _frame(table: Table, rows: list[list[Any]]) -> pd.DataFrame:
    as_they_are = table._replace(rows=lambda row: iter([cast("list[Any]", row)]))
    return frame(as_they_are, cast("list[Connection]", rows))


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
