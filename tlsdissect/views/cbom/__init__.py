"""An inventory of the cryptography that servers were seen to use: a Cryptography Bill of Materials (CBOM)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlsdissect.views.cbom.document import Document


def new_document() -> Document:
    """Return what writes an inventory; ImportError says what to install for it."""
    try:
        from tlsdissect.views.cbom.document import Document  # noqa: PLC0415 (an extra)

        return Document()
    except ImportError:
        raise ImportError("cbom needs cyclonedx-python-lib: pip install 'tlsdissect[cbom]'") from None
