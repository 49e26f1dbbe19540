"""Trees: every byte once, the same values as Wireshark's, and nothing lost around what is malformed."""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgspec
import pytest
from made import made
from mangle import cut, in_ethernet, pcap, segments
from recorded import ROOT, SAMPLES, SHARED, kept, need, packets

import tlsdissect
from tlsdissect.tls.record import SSL2
from tlsdissect.views.tree import tree
from tlsdissect.views.tree.build import FRAGMENT_HEADER, MESSAGE_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tlsdissect.model.transcript import KeptConnection as Connection
    from tlsdissect.model.transcript import Span
    from tlsdissect.views.tree.model import Node, Tree

OTHERS = [path for path in sorted((SHARED / "captures").glob("*/*")) if path.suffix in (".pcap", ".pcapng", ".cap")]
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)

SAME = {
    "tls.record.content_type": "type",
    "tls.record.version": "legacy_record_version",
    "tls.record.length": "length",
    "tls.handshake.type": "msg_type",
    "tls.handshake.length": "length",
    "tls.handshake.version": "legacy_version",
    "tls.handshake.random": "random",
    "tls.handshake.session_id": "legacy_session_id",
    "tls.handshake.ciphersuite": "[]",
    "tls.handshake.comp_method": "[]",
    "tls.handshake.cipher_suites_length": "length",
    "tls.handshake.extensions_length": "length",
    "tls.handshake.extension.type": "extension_type",
    "tls.handshake.extension.len": "length",
    "tls.handshake.extensions_server_name_type": "name_type",
    "tls.handshake.extensions_server_name": "host_name",
    "tls.handshake.extensions_ec_point_format": "[]",
    "tls.handshake.extensions_supported_group": "[]",
    "tls.handshake.sig_hash_alg": "[]",
    "tls.handshake.extensions.supported_version": "[]",
    "tls.handshake.extensions_key_share_group": "group",
    "tls.handshake.extensions_key_share_key_exchange": "key_exchange",
    "tls.extension.psk_ke_mode": "[]",
    "tls.handshake.extensions.psk.identity.identity": "identity",
    "tls.handshake.extensions.psk.identity.obfuscated_ticket_age": "obfuscated_ticket_age",
    "tls.handshake.extensions.psk.identity.selected": "selected_identity",
    "tls.handshake.extensions.cookie": "cookie",
    "tls.handshake.extensions_alpn_str": "[]",
    "tls.handshake.server_curve_type": "curve_type",
    "tls.handshake.server_named_curve": "named_curve",
    "tls.handshake.server_point": "public",
    "tls.handshake.client_point": "ecdh_yc",
    "tls.handshake.p": "dh_p",
    "tls.handshake.g": "dh_g",
    "tls.handshake.ys": "dh_ys",
    "tls.handshake.yc": "dh_yc",
    "tls.handshake.sig": "signature",
    "tls.handshake.session_ticket_lifetime_hint": "ticket_lifetime_hint",
    "tls.handshake.session_ticket": "ticket",
    "tls.handshake.cert_type": "[]",
    "tls.handshake.epms": "encrypted_pre_master_secret",
    "tls.handshake.extensions_padding_data": "data",
    "tls.handshake.extensions_status_request_type": "status_type",
    "tls.handshake.extensions_key_share_selected_group": "selected_group",
    "tls.handshake.extensions_alps_alpn_str": "[]",
    "tls.handshake.extensions_npn": "[]",
    "tls.handshake.extension.heartbeat.mode": "mode",
    "tls.handshake.client_cert_vrfy.sig": "signature",
    "tls.handshake.verify_data": "verify_data",
    "tls.handshake.md5_hash": "md5_hash",
    "tls.handshake.sha_hash": "sha_hash",
    "tls.handshake.identity": "psk_identity",
    "tls.handshake.modulus": "rsa_modulus",
    "tls.handshake.exponent": "rsa_exponent",
    "tls.handshake.challenge": "challenge",
    "tls.handshake.connection_id": "connection_id",
    "tls.handshake.cipherspec": "[]",
    "tls.compress_certificate.algorithm": "[]",
    "tls.record_size_limit": "record_size_limit",
    "tls.sct.sct_version": "sct_version",
    "tls.sct.sct_logid": "log_id",
    "tls.sct.sct_timestamp": "timestamp",
    "tls.sct.sct_signature": "signature",
    "tls.esni.suite": "suite",
    "tls.esni.record_digest": "record_digest",
    "tls.esni.encrypted_sni": "encrypted_sni",
    "x509sat.CountryName": "value",
    "x509sat.uTF8String": "value",
    "x509sat.printableString": "value",
    "x509sat.IA5String": "value",
    "x509ce.dNSName": "dNSName",
    "x509ce.IPAddress.ipv4": "iPAddress",
    "x509ce.IPAddress.ipv6": "iPAddress",
    "x509ce.uniformResourceIdentifier": "uniformResourceIdentifier",
    "x509ce.SubjectKeyIdentifier": "SubjectKeyIdentifier",
    "x509ce.keyIdentifier": "keyIdentifier",
    "pkcs1.modulus": "modulus",
    "ocsp.issuerNameHash": "issuerNameHash",
    "ocsp.issuerKeyHash": "issuerKeyHash",
    "ocsp.producedAt": "producedAt",
    "ocsp.thisUpdate": "thisUpdate",
    "tls.alert_message.level": "level",
    "tls.alert_message.desc": "description",
}
"""Wireshark's fields and ours where the two name the same thing; `[]` is an item of a list."""
PACKET_HEADERS = 54
"""Bytes of the shortest headers of Ethernet, IP and TCP."""
HEADER = {"tls.record.content_type": 0, "tls.record.version": 1, "tls.record.length": 3}
"""Where each field of a record's header stands."""


EVERY = sorted([*SAMPLES, *(ROOT / "samples/talk").glob("*.pcap"), *(ROOT / "samples").glob("*.pcap.gz")])


def trees(path: Path) -> list[Tree]:
    return [tree(connection) for connection in tlsdissect.read(path, keep=True)]


def leaves(node: Node) -> Iterator[Node]:
    """The nodes without children, and those whose children keys opened, so that they have no bytes in the capture."""
    if not any(child.bytes for child in node.children):
        yield node
    for child in node.children:
        yield from leaves(child)


def bytes_of(spans: tuple[Span, ...]) -> list[tuple[int, int | None]]:
    """Every byte of spans, by its frame and where it lies there."""
    return [
        (span.frame, None if span.offset is None else span.offset + at) for span in spans for at in range(span.length)
    ]


def uneven(whole: Tree) -> list[str]:
    """The messages whose leaves have a hole between them, or overlap."""
    return [
        f"{whole.stream}: frame {record.frame}, {part.name}"
        for record in whole.records
        for part in record.node.children
        if part.bytes and [at for leaf in leaves(part) for at in bytes_of(leaf.bytes)] != bytes_of(part.bytes)
    ]


def unaccounted(connection: Connection) -> list[str]:
    """The handshake messages in the clear that are not in the tree with as many bytes as they have."""
    drawn = Counter(
        (record.sender, part.name, sum(span.length for span in part.bytes))
        for record in tree(connection).records
        for part in record.node.children
    )
    # A message of SSL 2.0 has no header of its own: its type stands among its bytes.
    old = sum(record.content_type == SSL2 for record in connection.transcript.records)
    header = MESSAGE_HEADER if connection.dtls is None else FRAGMENT_HEADER
    told = Counter(
        (one.sender, one.type, one.bytes + (0 if number < old else header))
        for number, one in enumerate(connection.messages)
        if one.type not in ("encrypted", "change_cipher_spec", "alert")
    )
    return [f"{connection.stream}: {what}" for what in told - drawn]


@pytest.mark.parametrize("sample", EVERY, ids=lambda path: path.stem)
def test_leaves_cover_every_byte_of_every_message_once(sample: Path) -> None:
    whole = list(tlsdissect.read(sample, keep=True))
    assert sum(len(tree(one).records) for one in whole) >= 2 * len(whole) > 0
    assert [line for one in whole for line in uneven(tree(one)) + unaccounted(one)] == []


@each_sample
def test_records_are_their_headers_and_what_is_in_them(sample: Path) -> None:
    for whole in trees(sample):
        for record in whole.records:
            parts = [at for part in record.node.children for at in bytes_of(part.bytes)]
            assert sorted(parts) == sorted(bytes_of(record.node.bytes))


@pytest.mark.skipif(not OTHERS, reason=f"no captures under {SHARED}: those of other projects are not part of this one")
def test_captures_of_other_projects() -> None:
    count, wrong = 0, []
    for path in OTHERS:
        for one in kept(path):
            count += len(one.messages)
            # QUIC has packets and not records: test_tree_quic.py.
            wrong += (
                []
                if one.transport == "quic"
                else [f"{path.name} {line}" for line in uneven(tree(one)) + unaccounted(one)]
            )
    assert count > 4_000
    assert wrong == []


RICH = [
    SHARED / "captures" / name
    for name in (
        "suricata-verify/bug-2430__backwards.pcap",
        "arkime/https-generalizedtime.pcap",
        "nDPI/tls_esni_sni_both.pcap",
        "suricata-verify/bypass-depth-disabled.pcap",
        "suricata-verify/pgsql__pgsql-upgrade-tls.pcap",
        "zeek/tls__ssl.v3.pcap",
    )
]
"""Captures of other projects with fields that no sample has."""


@pytest.mark.parametrize("sample", [one for one in EVERY + RICH if one.suffix == ".pcap"], ids=lambda path: path.stem)
def test_values_are_those_of_wireshark(sample: Path) -> None:
    if not sample.exists():
        pytest.skip(f"{sample} is not there: captures of other projects are not part of this one")
    frames = [packet for _, packet in packets(sample)]
    ours: dict[tuple[str, int, int], set[bytes]] = {}
    for whole in trees(sample):
        for key, values in named(whole):
            ours.setdefault(key, set()).update(values)
    drawn = {frame for _, frame, _ in ours}
    compared = 0
    for frame, field in fields_of_wireshark(sample):
        name, at, size = field.get("name"), int(field.get("pos", 0)), int(field.get("size", 0))
        value = frames[frame - 1][at : at + size]
        # Of a record that came in several segments Wireshark counts bytes from elsewhere.
        if name not in SAME or value.hex() != field.get("value"):
            continue
        # Without a suite's MAC, Wireshark counts bytes from the beginning of the content.
        if at < PACKET_HEADERS:
            continue
        # A length of SSL 2.0 shares its bytes with a flag.
        if name == "tls.record.length" and value[0] & 0x80:
            continue
        # Behind the handshake, records of application data are not drawn.
        if name in HEADER and frames[frame - 1][at - HEADER[name]] == 23:
            continue
        # The look-ups of samples are no TLS: only what stands in the tree can be compared.
        if name.startswith(("ocsp.", "x509", "pkcs1.")) and frame not in drawn:
            continue
        assert value in ours.get((SAME[name], frame, at + size), ()), (name, frame, at)
        compared += 1
    assert compared > 20


def named(whole: Tree) -> Iterator[tuple[tuple[str, int, int], set[bytes]]]:
    """What bytes our leaves may stand for, by their name and where they end."""
    for record in whole.records:
        for leaf in leaves(record.node):
            if not leaf.bytes or leaf.bytes[-1].offset is None or leaf.value is None:
                continue
            name = "[]" if leaf.name.startswith("[") else leaf.name.removesuffix("_echo")
            name = "legacy_version" if name in ("server_version", "version") else "[]" if name in SINGLE else name
            last = leaf.bytes[-1]
            yield (name, last.frame, last.offset + last.length), as_bytes(leaf)


SINGLE = {"cipher_suite", "legacy_compression_method", "selected_version", "signature_scheme", "algorithm"}
"""What a server picks is in Wireshark named as what a client offers."""


def as_bytes(leaf: Node) -> set[bytes]:
    if isinstance(leaf.value, int):
        return {leaf.value.to_bytes(sum(span.length for span in leaf.bytes), "big")}
    text = str(leaf.value)
    try:
        return {bytes.fromhex(text.removeprefix("0x")), text.encode()}
    except ValueError:
        return {text.encode()}


def fields_of_wireshark(sample: Path) -> Iterator[tuple[int, ET.Element]]:
    command = [need("tshark"), "-n", "-r", str(sample), "-T", "pdml", "-d", "tcp.port==8443,tls"]
    told = subprocess.run(command, capture_output=True, check=True, timeout=120).stdout
    for frame, packet in enumerate(ET.fromstring(told).iter("packet"), 1):  # noqa: S314  # tshark's own
        for field in packet.iter("field"):
            yield frame, field


def test_a_message_over_many_segments_is_in_all_their_frames(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    frames = [packet for one in cut(segments(ROOT / "samples/tls12-full.pcap")) for packet in in_ethernet(one)]
    path.write_bytes(pcap([(0, frame) for frame in frames], 1))
    [whole] = trees(path)
    assert uneven(whole) == []
    [chain] = [part for record in whole.records for part in record.node.children if part.name == "certificate"]
    assert len({span.frame for span in chain.bytes}) > 10


def test_what_is_malformed_stands_where_it_is(tmp_path: Path) -> None:
    data = bytearray((ROOT / "samples/tls13-full.pcap").read_bytes())
    at = data.index(b"\x00\x00\x09localhost") - 2
    data[at : at + 2] = b"\x00\xff"  # server_name_list claims more than its extension has
    path = tmp_path / "damaged.pcap"
    path.write_bytes(data)
    [whole] = trees(path)
    hello = whole.records[0].node.children[3]
    assert uneven(whole) == []
    extensions = {child.name: child for child in hello.children[-1].children}
    [length] = [leaf for leaf in leaves(extensions["server_name"]) if leaf.problem]
    assert (length.name, length.value) == ("length", 255)
    assert length.problem == "255 bytes wanted, 12 left"
    assert "localhost" in {leaf.meaning for leaf in leaves(extensions["server_name"])}
    assert {"key_share", "supported_versions"} <= set(extensions)


def test_a_second_change_of_keys_is_encrypted() -> None:
    [connection] = tlsdissect.read(ROOT / "samples/tls12-renegotiation.pcap", keep=True)
    changes = [record.node for record in tree(connection).records if record.node.children[0].value == "0x14"]
    assert [[part.name for part in one.children[3:]] for one in changes] == [
        ["change_cipher_spec"],
        ["change_cipher_spec"],
        ["encrypted"],
        ["encrypted"],
    ]


def test_a_message_that_never_ends(tmp_path: Path) -> None:
    path = tmp_path / "short.pcap"
    kept = [one for one in cut(segments(ROOT / "samples/tls12-full.pcap")) if one.payload or one.flags & 2]
    frames = [packet for one in kept[:6] for packet in in_ethernet(one)]
    path.write_bytes(pcap([(0, frame) for frame in frames], 1))
    for whole in trees(path):
        assert uneven(whole) == []


def test_a_connection_without_transcript_is_refused() -> None:
    with pytest.raises(ValueError, match="keep=True"):
        tree(made())


@each_sample
def test_json_tells_the_whole_tree(sample: Path) -> None:
    for whole in trees(sample):
        assert msgspec.json.decode(msgspec.json.encode(whole))["records"]


def test_every_node_of_a_message_says_what_defines_it() -> None:
    for sample in SAMPLES:
        for whole in trees(sample):
            for record in whole.records:
                for part in record.node.children:
                    if part.name != "continued":
                        assert all(leaf.reference for leaf in leaves(part)), part.name


def test_a_message_without_fields_cites_its_own_section() -> None:
    (tree,) = trees(ROOT / "samples/tls12-full.pcap")
    parts = [part for record in tree.records for part in record.node.children]
    assert [part.reference for part in parts if part.name == "server_hello_done"] == ["RFC 5246 section 7.4.5"]


def test_decoded_twice_told_alike() -> None:
    """The tree and the facts of a connection name the same things."""
    for sample in SAMPLES:
        for connection in tlsdissect.read(sample, keep=True):
            hello = next(p for r in tree(connection).records for p in r.node.children if p.name == "client_hello")
            told = {child.name: child for child in hello.children}
            suites = [item.meaning for item in told["cipher_suites"].children[1:]]
            assert tuple(suites) == connection.client_hello.cipher_suites
            sent = [child.name for child in told["extensions"].children[1:]] if "extensions" in told else []
            assert sent == [extension.type for extension in connection.client_hello.extensions]


def test_times_are_those_of_messages_where_the_answer_was_captured_first(tmp_path: Path) -> None:
    sent = segments(ROOT / "samples/tls12-full.pcap")
    hello, answer = [at for at, segment in enumerate(sent) if segment.payload][:2]
    sent[hello], sent[answer] = sent[answer], sent[hello]
    path = tmp_path / "answer-first.pcap"
    # Packets that are swapped within a millisecond are put in order.
    path.write_bytes(pcap([(2_000 * at, one) for at, segment in enumerate(sent) for one in in_ethernet(segment)], 1))
    [connection] = tlsdissect.read(path, keep=True)
    told = {(message.sender, message.frame): message.ms for message in connection.messages}
    drawn = {(record.sender, record.frame): record.ms for record in tree(connection).records}
    assert min(told.values()) < 0
    assert {place: drawn[place] for place in told} == told


@pytest.mark.parametrize(
    ("name", "finished", "alert", "close_notify"),
    [
        ("tls13-full", "RFC 8446 section 4.4.4", "RFC 8446 section 6", "RFC 8446 section 6.1"),
        ("dtls/dtls13-full", "RFC 8446 section 4.4.4", "RFC 8446 section 6", "RFC 8446 section 6.1"),
        ("tls12-full", "RFC 5246 section 7.4.9", "RFC 5246 section 7.2", "RFC 5246 section 7.2.1"),
        ("dtls/dtls12-full", "RFC 5246 section 7.4.9", "RFC 5246 section 7.2", "RFC 5246 section 7.2.1"),
    ],
)
def test_finished_and_alerts_name_the_rfc_of_their_version(
    name: str, finished: str, alert: str, close_notify: str
) -> None:
    path = ROOT / "samples" / f"{name}.pcap"
    [connection] = tlsdissect.read(path, keep=True, keylog=path.with_suffix(".keys"))
    cited: dict[str, set[str | None]] = {}

    def visit(node: Node) -> None:
        cited.setdefault(node.name, set()).add(node.reference)
        for child in node.children:
            visit(child)

    for record in tree(connection).records:
        visit(record.node)
    assert cited["finished"] == cited["verify_data"] == {finished}
    # What follows a handshake of TLS 1.3 is not in the tree.
    assert cited.get("alert", {alert}) == cited.get("level", {alert}) == {alert}
    assert cited.get("description", {close_notify}) == {close_notify}
    assert ("alert" in cited) is ("12" in name)
