"""Encrypted Client Hello, opened with the secrets of a key log."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from datagrams import facts
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from recorded import ROOT

import tlsdissect
from tlsdissect.handshake import encrypted_hello
from tlsdissect.tls.client_hello import ClientHello, Extension
from tlsdissect.tls.wire import Reader, WireError

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = ROOT / "samples" / "ech" / "ech-nss.pcap"
KEYS = SAMPLE.with_suffix(".keys")
INNER = "private.sample.example"
STORY = [("accepted", INNER, False), ("accepted", INNER, True), ("rejected", INNER, False), (None, None, False)]
"""What the server did with the inner hello, the name in it, and whether there was a HelloRetryRequest; last GREASE."""
READ = ["encrypted_extensions", "certificate", "certificate_verify", "finished", "finished"]


@cache
def without_keys() -> list[dict[str, Any]]:
    return facts(SAMPLE)


def with_keylog(tmp_path: Path, *labels: str) -> list[dict[str, Any]]:
    """Read with those lines of the key log only that have one of these labels."""
    lines = [line for line in KEYS.read_text().splitlines() if line.startswith(labels)]
    keylog = tmp_path / "some.keys"
    keylog.write_text("\n".join(lines))
    return facts(SAMPLE, keylog=keylog)


def test_anyone_sees_the_outer_name_and_nothing_of_the_inner_one() -> None:
    assert [(one["sni"], one["ech"], one["hidden"]) for one in without_keys()] == [
        ("localhost", "grease_or_offered", None)
    ] * 4


def test_keys_show_the_inner_hello_and_all_that_follows() -> None:
    opened = facts(SAMPLE, keylog=KEYS)
    seen = [(one["hidden"]["ech"], one["hidden"]["inner_sni"], one["hello_retry"]) for one in opened]
    assert seen == STORY
    for one in opened:
        kinds = [message["type"] for message in one["hidden"]["messages"]]
        assert (kinds[:5], one["hidden"]["problems"]) == (READ, [])
        assert one["hidden"]["certificates"][0]["dns_names"] == ["localhost"]
    assert [one | {"hidden": None, "keys": None} for one in opened] == without_keys()
    assert ["ECH_SECRET" in one["keys"]["labels"] for one in opened] == [True, True, True, False]
    required = [alert["description"] for alert in opened[2]["hidden"]["alerts"]]
    assert required == ["ech_required", "close_notify"]


def test_explain_says_what_became_of_it() -> None:
    connections = list(tlsdissect.read(SAMPLE, keylog=KEYS))
    said = [{one.code: one.text for one in tlsdissect.explain(each).sentences} for each in connections]
    assert said[0]["keys_ech"] == "Its Encrypted Client Hello was accepted."
    assert said[2]["keys_ech"] == "Its Encrypted Client Hello was rejected."
    assert INNER in said[0]["keys_inner_sni"]
    assert "keys_ech" not in said[3]
    hidden = connections[0].hidden
    assert hidden is not None
    offering = replace(connections[0], hidden=replace(hidden, inner_alpn=("h2", "http/1.1")))
    [offered] = [one.text for one in tlsdissect.explain(offering).sentences if one.code == "keys_inner_alpn"]
    assert offered == "The client offered h2 and http/1.1 under encryption."


def test_the_inner_hello_opens_without_any_other_secret(tmp_path: Path) -> None:
    for one, (ech, name, _) in zip(with_keylog(tmp_path, "ECH_"), STORY, strict=True):
        if ech is None:
            assert (one["hidden"], one["keys"]) == (None, None)
            continue
        assert (one["hidden"]["ech"], one["hidden"]["inner_sni"]) == (ech, name)
        assert (one["hidden"]["messages"], one["hidden"]["problems"]) == (None, [])
        assert one["keys"] == {"from": "keylog", "labels": ["ECH_SECRET"]}


@pytest.mark.parametrize("lacking", ["ECH_SECRET", "ECH_CONFIG"])
def test_without_either_label_nothing_of_an_accepted_one_opens(tmp_path: Path, lacking: str) -> None:
    """Its secrets are found by the random of the inner hello. Those of one that was rejected are by the outer one's."""
    labels = {line.split()[0] for line in KEYS.read_text().splitlines() if line[0] != "#"} - {lacking}
    opened = with_keylog(tmp_path, *labels)
    assert [one["hidden"] is None for one in opened] == [True, True, False, False]
    assert opened[2]["hidden"]["ech"] is None


def test_a_wrong_secret_opens_nothing(tmp_path: Path) -> None:
    lines = [line.split() for line in KEYS.read_text().splitlines() if line.startswith("ECH_")]
    keylog = tmp_path / "wrong.keys"
    wrong = [(label, random, value if label == "ECH_CONFIG" else "00" * 32) for label, random, value in lines]
    keylog.write_text("\n".join(" ".join(line) for line in wrong))
    assert [one["hidden"] for one in facts(SAMPLE, keylog=keylog)] == [None] * 4


# ---------------------------------------------------------------- what an inner hello may look like

BEGINNING = b"\x03\x03" + b"r" * 32


def encoded(*extensions: bytes, session_id: bytes = b"") -> bytes:
    body = b"".join(extensions)
    suites = b"\x00\x02\x13\x01\x01\x00"
    return BEGINNING + bytes([len(session_id)]) + session_id + suites + len(body).to_bytes(2, "big") + body


def extension(number: int, data: bytes) -> bytes:
    return number.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


def outer(*numbers: int) -> ClientHello:
    carried = tuple([Extension(number, bytes([number & 255]) * 3) for number in numbers])
    return ClientHello(0x0303, b"o" * 32, b"session", (0x1301,), (0,), carried)


def copied(*numbers: int) -> bytes:
    return extension(0xFD00, bytes([2 * len(numbers)]) + b"".join(number.to_bytes(2, "big") for number in numbers))


def test_extensions_that_the_outer_hello_has_are_copied_from_it() -> None:
    own = extension(16, b"own")
    expanded = encrypted_hello._expanded(encoded(copied(10, 13), own), outer(0, 10, 51, 13))
    assert expanded == encoded(extension(10, b"\n" * 3), extension(13, b"\r" * 3), own, session_id=b"session")


@pytest.mark.parametrize("numbers", [(13, 10), (10, 10), (11,), (0xFE0D,)])
def test_extensions_are_copied_once_in_order_and_never_the_encrypted_hello(numbers: tuple[int, ...]) -> None:
    """RFC 9849 section 5.1: otherwise a short hello could expand to a very long one."""
    assert encrypted_hello._expanded(encoded(copied(*numbers)), outer(0, 10, 13, 0xFE0D)) is None


@given(st.binary(max_size=200))
def test_any_inner_hello_ends_in_a_hello_or_an_error(data: bytes) -> None:
    try:
        expanded = encrypted_hello._expanded(data, outer(0, 10, 13))
    except WireError:
        return
    assert expanded is None or len(expanded) <= len(data) + len(b"session") + 3 * 7


@given(st.binary(max_size=80), st.integers(0, 63))
def test_any_configuration_ends_in_a_result(damage: bytes, place: int) -> None:
    [line] = [line for line in KEYS.read_text().splitlines() if line.startswith("ECH_CONFIG")][:1]
    config = bytes.fromhex(line.split()[2])
    try:
        contexts = encrypted_hello._Contexts(b"s" * 32, config[:place] + damage + config[place + 1 :])
    except WireError:
        return
    assert contexts.open(hello_with_ech(), 0) is None


@cache
def hello_with_ech() -> bytes:
    first = next(iter(tlsdissect.read(SAMPLE, keep=True)))
    assert first.transcript is not None
    record = next(one for one in first.transcript.records if one.sender == "client")
    assert record.fragment is not None
    body = record.fragment[4:]
    assert Reader(body).whole(ClientHello.read)
    return body
