"""JSON lines are read back, and written as the same lines again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import inspect
from recorded import ROOT, SAMPLES

from tlsdissect.handshake.key_logs import KeyLog
from tlsdissect.handshake.options import Options
from tlsdissect.model.connection import Connection, Extension
from tlsdissect.pipeline import Reading
from tlsdissect.views import ndjson

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "folder", [ROOT / "samples", *sorted((ROOT / "samples").glob("*/"))], ids=lambda path: path.name
)
def test_lines_are_read_back_with_all_that_keys_show(folder: Path) -> None:
    paths = SAMPLES if folder.name == "samples" else sorted(folder.glob("*.pcap*"))
    keylog = KeyLog([str(path) for path in (ROOT / "samples").rglob("*.keys")])
    for connection in Reading(paths, Options(keylog=keylog, raw_fingerprints=True)):
        line = ndjson.json_line(connection)
        assert ndjson.json_line(ndjson.parse(line)) == line


def structs_of(of: Any) -> set[type]:
    """The structs that a type consists of; none of them contains itself."""
    if isinstance(of, inspect.StructType):
        return {of.cls}.union(*(structs_of(field.type) for field in of.fields))
    inner = (*getattr(of, "types", ()), getattr(of, "item_type", None))
    return set().union(*(structs_of(one) for one in inner if one is not None))


def test_no_extension_loses_the_fields_of_its_type() -> None:
    """Decoded as an Extension, it would keep those of every extension only."""
    assert Extension in structs_of(inspect.type_info(Connection))
    assert Extension not in structs_of(inspect.type_info(ndjson.Parsed))


def test_extensions_that_were_read_back_have_attributes() -> None:
    (connection, *_) = Reading([ROOT / "samples" / "tls13-full.pcap"])
    read_back = ndjson.parse(ndjson.json_line(connection))
    (name,) = [one for one in read_back.client_hello.extensions if one.type == "server_name"]  # type: ignore[union-attr]
    assert name.code == 0
    assert not hasattr(name, "groups")


def test_stations_that_were_read_back_have_their_names() -> None:
    (connection, *_) = Reading([ROOT / "samples" / "eap" / "eapol-tls-tls12.pcap"])
    read_back = ndjson.parse(ndjson.json_line(connection))
    assert connection.client.ip is None
    assert str(read_back.client) == str(connection.client)
