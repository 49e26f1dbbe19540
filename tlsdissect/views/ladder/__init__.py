"""A handshake as a ladder: two lifelines, and an arrow for each flight between them."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup
from msgspec import Struct

from tlsdissect.views.ladder.model import Ladder, drawn, views
from tlsdissect.views.ladder.text import Text

if TYPE_CHECKING:
    import os

    from tlsdissect.model.connection import Connection

_FORMS = {".svg": "svg", ".png": "png", ".pdf": "pdf"}


class Drawing(Struct, frozen=True):
    """One ladder, or two side by side on one axis of time, which begins at the ClientHello of each."""

    ladders: tuple[Ladder, ...]

    def __str__(self) -> str:
        return "\n".join(Text().lines(*self.ladders))

    def save(self, path: str | os.PathLike[str], *, dark: bool = False) -> None:
        """Write the picture: .svg, .png or .pdf; ValueError for another suffix."""
        from tlsdissect.views.ladder.plot import picture  # noqa: PLC0415  # matplotlib is slow to load

        form = _FORMS.get(Path(path).suffix.lower())
        if form is None:
            raise ValueError(f"{path}: the suffix must be one of {', '.join(_FORMS)}")
        Path(path).write_bytes(picture(self.ladders, form, dark=dark))

    def _repr_html_(self) -> str:
        from tlsdissect.views.ladder.plot import picture  # noqa: PLC0415  # matplotlib is slow to load

        # An image, whose width can be limited to the cell's: notebooks cut a wider one of type SVG.
        data = b64encode(picture(self.ladders, "svg")).decode()
        who = " and ".join(f"{one.client} > {one.server}" for one in self.ladders)
        return Markup(
            '<img style="max-width: 100%; height: auto" alt="Ladder of {}" src="data:image/svg+xml;base64,{}">'
        ).format(who, data)


def ladder(connection: Connection, beside: Connection | None = None) -> Drawing:
    """Draw a connection that was read with `keep=True` as a ladder, beside it another one or its other view, if any.

    Printed it is text, in a notebook a picture, and `save` writes that. Times are milliseconds since the ClientHello at
    the capture point, and round trips of TCP where they take at least 1 ms. Raises ValueError for a connection without
    a transcript.
    """
    return Drawing(views(connection) if beside is None else (drawn(connection), drawn(beside)))
