"""Connections in the vocabularies of other tools: Zeek's logs, the Elastic Common Schema, tshark's fields."""

from __future__ import annotations

from tlsdissect.views.names import ecs, tshark, zeek

VOCABULARIES = {"zeek": zeek.tables, "ecs": ecs.tables, "tshark": tshark.tables}
"""Functions that make new tables for each export, because some tables remember what they have written."""
