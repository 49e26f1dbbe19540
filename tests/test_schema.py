"""The published schema: what is printed conforms to it, and it is what docs/ has.

`python tests/test_schema.py` writes docs/connection.schema.json.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import jsonschema
import msgspec
import pytest
from recorded import ROOT

from tlsdissect.model.connection import Connection
from tlsdissect.pipeline import Reading
from tlsdissect.trust.judge import Judge
from tlsdissect.views import schema
from tlsdissect.views.ndjson import Ndjson

sys.path.append(str(ROOT / "tests" / "cli"))
from commands import run

KEPT = ROOT / "docs" / "connection.schema.json"
FOLDERS = sorted({path.parent for path in (ROOT / "samples").rglob("*.pcap")})


def test_the_command_prints_what_docs_have() -> None:
    done = run("schema")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == KEPT.read_text()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_what_is_printed_conforms(folder: Any) -> None:
    validator = jsonschema.Draft202012Validator(schema.schema())
    some = sorted(folder.glob("*.pcap"))[:12]
    connections = list(Reading(some, judge=Judge()))
    assert connections
    for one in connections:
        validator.validate(json.loads(Ndjson().row(one)))


def test_what_is_not_a_connection_does_not() -> None:
    validator = jsonschema.Draft202012Validator(schema.schema())
    (one, *_) = Reading([ROOT / "samples" / "tls12-full.pcap"])
    printed = json.loads(Ndjson().row(one))
    for changed in ({"stream": "0"}, {"alerts": None}, {"transport": "sctp"}, {"client": {"ip": "::1"}}):
        assert not validator.is_valid({**printed, **changed})
    del printed["sni"]
    assert not validator.is_valid(printed)


def test_keys_are_those_of_the_structs() -> None:
    (found,) = [part for name, part in schema.schema()["$defs"].items() if name == "Connection"]
    assert list(found["properties"]) == [field.encode_name for field in msgspec.structs.fields(Connection)]
    assert found["properties"]["end"]["description"] == "The time of the last packet."


def test_every_key_has_a_description() -> None:
    keys = {
        (name, key): about
        for name, part in schema.schema()["$defs"].items()
        for key, about in part["properties"].items()
    }
    assert [place for place, about in keys.items() if "description" not in about] == []
    assert keys["Alert", "from"]["description"] == "The side that sent it."


if __name__ == "__main__":
    KEPT.write_text(schema.text())
