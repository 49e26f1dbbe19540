"""Views of TLS inside EAP: who refused whom, and what EAP itself said."""

from __future__ import annotations

import pytest
from recorded import ROOT, kept

from tlsdissect.views import table
from tlsdissect.views.explain import explain
from tlsdissect.views.ladder.model import drawn
from tlsdissect.views.names.ecs import COLUMNS_OF_ECS
from tlsdissect.views.names.tshark import TLS, ClearMessage

FOLDER = ROOT / "samples" / "eap"
ENDS = {
    "radius-tls": ["eap_success"],
    "radius-tls-server-refused": ["alert", "unknown_authority", "eap_server_refused"],
    "radius-tls-supplicant-refused": ["eap_supplicant_refused"],
    "radius-peap": ["eap_success"],
    "radius-peap-wrong-password": ["eap_refused_in_tunnel"],
    "radius-ttls-server-refused": ["alert", "unknown_authority", "eap_server_refused"],
    "eapol-tls": ["eap_success"],
    "eapol-peap-wrong-password": ["eap_refused_in_tunnel"],
}


@pytest.mark.parametrize("version", ["tls12", "tls13"])
@pytest.mark.parametrize("name", ENDS)
def test_who_refused_whom(name: str, version: str) -> None:
    [connection] = kept(FOLDER / f"{name}-{version}.pcap")
    explanation = explain(connection)
    assert [one.code for one in explanation.about("end")] == ENDS[name]
    assert explanation.about("offer")[0].code == "eap"
    assert "eap_identity_visible" in [one.code for one in explanation.about("observer")]
    text = " ".join(one.text for one in explanation.sentences)
    assert "TCP" not in text
    assert "segment" not in text


def test_the_refused_certificate_is_named_where_it_can_be_read() -> None:
    for version, guess in (("tls12", False), ("tls13", True)):
        [connection] = kept(FOLDER / f"radius-tls-supplicant-refused-{version}.pcap")
        [sentence] = explain(connection).about("end")
        assert ("CN=Mallory" in sentence.text, sentence.guess) == (version == "tls12", guess)


def test_fragments_cost_round_trips() -> None:
    [connection] = kept(FOLDER / "radius-tls-tls12.pcap")
    [sentence] = [one for one in explain(connection).sentences if one.code == "eap_fragments"]
    assert sentence.text.startswith("EAP carried the handshake in 16 packets. After 12 of them the sender waited ")


def test_a_ladder_has_what_eap_said() -> None:
    [connection] = kept(FOLDER / "radius-peap-tls12.pcap")
    arrows = drawn(connection).arrows
    assert [(one.sender, *one.labels, *one.frames) for one in arrows if one.kind == "tcp"] == [
        ("client", "EAP-Response Identity", 1),
        ("server", "EAP-Request EAP-TTLS Start", 2),
        ("client", "EAP-Response Nak for PEAP", 3),
        ("server", "EAP-Request PEAP Start", 4),
        ("server", "EAP-Success", 20),
    ]


def test_a_table_has_stations_and_the_result() -> None:
    [connection] = kept(FOLDER / "eapol-peap-wrong-password-tls12.pcap")
    assert table.client(connection)[0] == "02:00:00:00:00:01"
    assert table.server(connection)[0] == "02:00:00:00:00:02"
    assert table.outcome(connection) == ("established, EAP-Failure",)


@pytest.mark.parametrize(("name", "transport"), [("eapol-tls-tls12", None), ("radius-tls-tls12", "udp")])
def test_names_of_other_tools_say_what_carries_eap(name: str, transport: str | None) -> None:
    [connection] = kept(FOLDER / f"{name}.pcap")
    [ecs] = [one for one in COLUMNS_OF_ECS if one.name == "network.transport"]
    assert ecs.value(connection) == transport
    message = ClearMessage(connection, "client", 5, connection.messages[0], None)
    of_tcp = [one for one in TLS if one.name in ("tcp.stream", "tcp.srcport", "tcp.dstport")]
    assert [one.value(message) for one in of_tcp] == [None] * 3
