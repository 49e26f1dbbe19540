"""What is inferred and not read is named by its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from recorded import INFERRED_WITH_END, ROOT

import tlsdissect
from tlsdissect.views.report.details import connection_details

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.connection import Connection

CAPTURES = sorted(path for path in (ROOT / "samples").rglob("*.pcap*") if not path.name.endswith(".zst"))


def value(connection: Connection, key: str) -> object:
    """Return the value of a key of a connection, or of one of its parts: `timing.split_path`."""
    part: object = connection
    for name in key.split("."):
        part = getattr(part, name)
    return part


def inferred(sample: str) -> set[str]:
    """Return the keys of what is inferred in the last connection of a sample."""
    *_, last = tlsdissect.read(ROOT / "samples" / sample)
    return set(last.inferred)


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_a_problem_names_facts_if_and_only_if_they_are_inferred(path: Path) -> None:
    for connection in tlsdissect.read(path):
        for problem in connection.problems:
            assert (problem.facts is not None) == (problem.code == "inferred")
        for key in connection.inferred:
            value(connection, key)


@pytest.mark.parametrize(
    ("sample", "keys"),
    [
        ("tls13-full.pcap", set()),
        ("tls13-early-data.pcap", {"early_data", "round_trips"}),
        ("tls13-client-cert-rejected.pcap", set(INFERRED_WITH_END)),
        ("dtls/dtls13-full.pcap", set(INFERRED_WITH_END)),
    ],
)
def test_what_is_inferred(sample: str, keys: set[str]) -> None:
    assert inferred(sample) == keys


def test_the_report_marks_what_is_inferred_unless_keys_confirm_it() -> None:
    sample = ROOT / "samples/tls13-early-data.pcap"
    for keys in ((), (sample.with_suffix(".keys"),)):
        *_, resumed = tlsdissect.read(sample, keylog=keys, keep=True)
        shown = dict(connection_details(resumed, [])["facts"])
        assert shown["outcome"] == "established"
        assert ("early data accepted (inferred)" in shown["resumption"]) is not bool(keys)
