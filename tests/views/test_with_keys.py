"""What only keys show, in every view: it is there with keys, marked, and nothing of it is there without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from recorded import ROOT

import tlsdissect
from tlsdissect.views.comparison.builder import compared
from tlsdissect.views.comparison.formats import Text
from tlsdissect.views.explain import explain
from tlsdissect.views.explain.model import TOPICS
from tlsdissect.views.ladder.model import drawn
from tlsdissect.views.report.details import connection_details
from tlsdissect.views.table import Table
from tlsdissect.views.tree import tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.tree.model import Node

NAMES = ["tls13-client-cert", "tls13-client-cert-rejected", "tls13-full", "tls13-early-data", "tls12-renegotiation"]
NAMES += ["quic/quic-full", "quic/quic-unknown-ca", "dtls/dtls13-key-update", "dtls/dtls12-full", "dtls/dtls12-loss"]


def read(name: str, *, keys: bool) -> list[Connection]:
    path = ROOT / "samples" / f"{name}.pcap"
    return list(tlsdissect.read(path, keep=True, keylog=path.with_suffix(".keys") if keys else ()))


@pytest.mark.parametrize("name", NAMES)
def test_explanations_only_add_a_topic(name: str) -> None:
    for seen, opened in zip(read(name, keys=False), read(name, keys=True), strict=True):
        without, with_keys = explain(seen).sentences, explain(opened).sentences
        assert with_keys[: len(without)] == without
        added = with_keys[len(without) :]
        assert {sentence.topic for sentence in added} == {"keys"}
        assert TOPICS["keys"] == "What only keys show"
        assert len({(sentence.code, sentence.text) for sentence in added}) == len(added)


def test_what_explanations_say() -> None:
    (rejected,) = read("tls13-client-cert-rejected", keys=True)
    said = {sentence.code: sentence for sentence in explain(rejected).about("keys")}
    assert "CN=Mallory" in said["keys_client_certificate"].text
    assert said["keys_alert"].text.startswith("The server sent unknown_ca: ")
    assert said["keys_alert"].frames == (rejected.hidden.alerts[0].frame,)
    early = read("tls13-early-data", keys=True)[1]
    said = {sentence.code: sentence.text for sentence in explain(early).about("keys")}
    assert said["keys_early_data"] == "The server accepted the client's early data."
    assert said["keys_resumes"].startswith("It resumed the session of stream 0")


def _row(connection: Connection) -> str:
    table = Table(300)
    cells = table.row(connection)
    table.lay_out([(connection.source, cells)])
    return table.line(connection.source, cells).decode()


def test_tables_mark_what_keys_show() -> None:
    for name, cells in {"tls13-client-cert-rejected": ["alert unknown_ca* by server", "localhost*"]}.items():
        seen, opened = (_row(read(name, keys=keys)[0]) for keys in (False, True))
        for cell in cells:
            assert cell in opened
            assert cell not in seen
        assert "*" not in seen


@pytest.mark.parametrize("name", NAMES)
def test_ladders_show_opened_messages_in_brackets(name: str) -> None:
    for seen, opened in zip(read(name, keys=False), read(name, keys=True), strict=True):
        labels = [label for arrow in drawn(opened).arrows for label in arrow.labels]
        brackets = [label for label in labels if label[0] == "["]
        assert [label for label in labels if label[0] != "["] == [
            label for arrow in drawn(seen).arrows for label in arrow.labels
        ]
        assert sorted(label[1:].split()[0].rstrip("]") for label in brackets) == sorted(
            message.type for message in opened.hidden.messages
        )


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes(child)


@pytest.mark.parametrize("name", NAMES)
def test_trees_show_opened_messages_inside_their_records(name: str) -> None:
    for seen, opened in zip(read(name, keys=False), read(name, keys=True), strict=True):
        found = [node for record in tree(opened).records for node in nodes(record.node)]
        marked = [node for node in found if node.meaning == "opened with keys"]
        assert marked
        assert {node.name for node in marked} <= {message.type for message in opened.hidden.messages}
        # What is opened is in no frame: the bytes of the capture are accounted for as without keys.
        assert not any(node.bytes for top in marked for node in nodes(top))
        plain = [node for record in tree(seen).records for node in nodes(record.node)]
        assert [node.bytes for node in found if node.bytes] == [node.bytes for node in plain if node.bytes]
        assert "opened with keys" in str(tree(opened))


def test_comparisons_count_what_keys_show_beside_what_anyone_sees() -> None:
    for keys in (False, True):
        groups = compared(read("tls13-client-cert", keys=keys))
        text = b"".join(Text(whole=True).written(groups)).decode()
        assert "seen by anyone on the path" in text
        assert ("seen with keys besides" in text) is keys
        (side,) = groups[0].sides
        assert side.exposure.distinct == 0
        assert side.keyed.distinct == (3 if keys else 0)
        assert side.keyed.client_certificates == keys


def test_details_of_a_report_name_the_secrets() -> None:
    (opened,) = read("tls13-client-cert", keys=True)
    facts = dict(connection_details(opened, [])["facts"])
    assert facts["keys"].startswith("from key logs: ")
    (seen,) = read("tls13-client-cert", keys=False)
    assert "keys" not in dict(connection_details(seen, [])["facts"])


def test_accepted_early_data_of_quic_waits_for_no_round_trip() -> None:
    path = ROOT / "samples" / "quic" / "quic-early-data.pcap"
    _, resumed = tlsdissect.read(path, keylog=path.with_suffix(".keys"))
    said = [one.text for one in tlsdissect.explain(resumed).sentences if one.code == "keys_early_data"]
    assert said == ["The server accepted the client's early data, which waited for no round trip."]
