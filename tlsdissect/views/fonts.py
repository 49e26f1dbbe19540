"""Where the fonts are in which figures are drawn."""

from __future__ import annotations

import os

from matplotlib.font_manager import fontManager


def font_folders() -> set[str]:
    """Return the folders of all fonts. matplotlib has another program look for them once, and keeps the result."""
    return {os.path.dirname(font.fname) for font in fontManager.ttflist}  # noqa: PTH120 (paths are text here)
