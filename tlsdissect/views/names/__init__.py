"""Connections under the names that other tools' users know: Zeek's logs, the Elastic Common Schema, tshark's fields."""

from __future__ import annotations

from tlsdissect.views.names import ecs, tshark, zeek

VOCABULARIES = {"zeek": zeek.tables, "ecs": ecs.tables, "tshark": tshark.tables}
"""Each makes its tables anew for an export: some remember what they have told."""
