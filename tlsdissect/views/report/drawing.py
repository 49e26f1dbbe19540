"""Embeds figures in a page: an SVG image becomes an inline element in the page's own colours, light or dark."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from markupsafe import Markup, escape

_XLINK = "{http://www.w3.org/1999/xlink}href"
_LEFT_OUT = frozenset(("metadata", "style"))
_DEFINED = frozenset(("clipPath", "pattern", "path"))
"""Elements that others refer to by id."""
_GREY = re.compile(r"#([0-3][0-9a-f])\1\1")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_FONT = re.compile(r"(?:(?:bold|\d{3}) )?([\d.]+)px .*")


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
