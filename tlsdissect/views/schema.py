"""The JSON Schema of what `read --format json` prints for each connection."""

from __future__ import annotations

import ast
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import json

from tlsdissect.model import connection
from tlsdissect.x509 import facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from msgspec import Struct

SCHEMA_VERSION = 1
"""Changes when a key loses its name or its meaning, which is not planned; new keys do not change it."""
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLACE = "#/$defs/{name}"


def schema() -> dict[str, Any]:
    """Return the schema. Objects may have further keys: extensions have those of their type, and versions add some."""
    (root,), parts = json.schema_components((connection.Connection,), schema_hook=_anything, ref_template=_PLACE)
    for part in parts.values():
        if "description" in part:
            # Whether msgspec does so depends on its version.
            part["description"] = cleandoc(part["description"])
        _order_alternatives(part)
    for name, text in descriptions():
        kind, _, key = name.partition(".")
        field = parts.get(kind, {}).get("properties", {}).get(key)
        if field is not None:
            field["description"] = text
    about = {"$schema": _DIALECT, "$id": f"urn:tlsdissect:connection:{SCHEMA_VERSION}", "version": SCHEMA_VERSION}
    return {**about, "title": "A TLS connection", **root, "$defs": parts}


def text() -> str:
    """Return the schema as indented text."""
    return json.format(json.encode(schema()), indent=2).decode() + "\n"


def _order_alternatives(part: Any) -> None:
    """Let null come last among alternatives, whose order depends on msgspec's version too."""
    if isinstance(part, dict):
        part.get("anyOf", []).sort(key=lambda one: one == {"type": "null"})
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            _order_alternatives(one)


def _anything(_: type) -> dict[str, Any]:
    """Return the schema of a value of any type."""
    return {"description": "A value of any type."}


def descriptions() -> Iterator[tuple[str, str]]:
    """Yield `struct.key` and the docstring of each field that has one, from the source: Python does not keep them."""
    for module in (connection, facts):
        for defined in ast.parse(Path(str(module.__file__)).with_suffix(".py").read_text(encoding="utf-8")).body:
            if not isinstance(defined, ast.ClassDef):
                continue
            for field, after in zip(defined.body, defined.body[1:], strict=False):
                if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                    continue
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                    key = _keys(getattr(module, defined.name))[field.target.id]
                    yield f"{defined.name}.{key}", " ".join(str(after.value.value).split())


def _keys(struct: type[Struct]) -> dict[str, str]:
    """Return the key of each field in JSON."""
    return dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))
