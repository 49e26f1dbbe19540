from __future__ import annotations

import csv
import json
import typing
from pathlib import Path

import pytest
from recorded import SHARED

from tlsdissect.tls import codepoints
from tlsdissect.tls.codepoints import GREASE, Registry, cipher_spec_name, has_signature_schemes, name
from tlsdissect.tls.key_exchange import key_exchange

NAMES = SHARED / "conformance" / "names.json"
FOLDER = Path(codepoints.__file__).parent / "iana"


def rows_of(file: str) -> list[dict[str, str]]:
    with (FOLDER / f"{file}.csv").open(encoding="ascii") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.skipif(not NAMES.exists(), reason="no conformance names beside the checkout")
def test_names_are_those_of_the_conformance_data() -> None:
    for registry, names in json.loads(NAMES.read_text()).items():
        for number, known in names.items():
            assert name(Registry[registry.upper()], int(number)) == known


def test_every_registry_has_a_file_and_every_file_a_registry() -> None:
    others = {"oids", "remarks", "alert_meanings"}
    assert {path.stem for path in FOLDER.glob("*.csv")} - others == {registry.value[0] for registry in Registry}
    for registry in Registry:
        file, digits = registry.value
        rows = rows_of(file)
        assert rows
        assert len({int(row["value"], 16) for row in rows}) == len(rows)
        for row in rows:
            assert name(registry, int(row["value"], 16)) == row["name"]
            if file != "quic_transport_parameters":
                assert len(row["value"]) == 2 + digits


@pytest.mark.parametrize(
    ("registry", "number", "expected"),
    [
        (Registry.CIPHER_SUITES, 0xFEFE, "0xfefe"),
        (Registry.CIPHER_SUITES, 0x0A0A, "GREASE"),
        (Registry.GROUPS, 0xFAFA, "GREASE"),
        (Registry.GROUPS, 0x0A1A, "0x0a1a"),
        (Registry.SIGNATURE_SCHEMES, 0x0202, "0x0202"),
        (Registry.EXTENSIONS, 13172, "0x3374"),
        (Registry.ALERTS, 0x0A, "unexpected_message"),
        (Registry.ALERTS, 0x2A, "bad_certificate"),
        (Registry.ALERTS, 200, "0xc8"),
        (Registry.PSK_MODES, 0x2A, "GREASE"),
        (Registry.PSK_MODES, 7, "0x07"),
        (Registry.COMPRESSION_METHODS, 0x2A, "0x2a"),
        (Registry.VERSIONS, 0x0002, "SSL 2.0"),
        (Registry.VERSIONS, 0x0300, "SSL 3.0"),
        (Registry.VERSIONS, 0x0304, "TLS 1.3"),
        (Registry.VERSIONS, 0x7F17, "TLS 1.3 (draft 23)"),
        (Registry.VERSIONS, 0x7F00, "0x7f00"),
        (Registry.VERSIONS, 0x7F1D, "0x7f1d"),
        (Registry.VERSIONS, 0xFEFC, "DTLS 1.3"),
        (Registry.VERSIONS, 0xFB1A, "0xfb1a"),
        (Registry.VERSIONS, 0x5A5A, "GREASE"),
        (Registry.QUIC_VERSIONS, 0x1A2A3A4A, "GREASE"),
        (Registry.QUIC_VERSIONS, 0x1A2A3A4B, "0x1a2a3a4b"),
        (Registry.QUIC_TRANSPORT_PARAMETERS, 27 + 31 * 1000, "GREASE"),
        (Registry.QUIC_TRANSPORT_PARAMETERS, 0x20, "max_datagram_frame_size"),
    ],
)
def test_unregistered_numbers(registry: Registry, number: int, expected: str) -> None:
    assert name(registry, number) == expected


def test_grease_is_the_sixteen_values_of_rfc_8701() -> None:
    assert sorted(GREASE)[:2] == [0x0A0A, 0x1A1A]
    assert max(GREASE) == 0xFAFA
    assert len(GREASE) == 16


def test_a_registry_is_read_at_its_first_lookup() -> None:
    names = codepoints._Names("groups", 4)
    assert len(names) == 0
    assert names[29] == "x25519"
    size = len(names)
    assert names[0x7777] == "0x7777"
    assert len(names) == size


def test_cipher_specs_of_ssl_2() -> None:
    assert cipher_spec_name(0x0700C0) == "SSL_CK_DES_192_EDE3_CBC_WITH_MD5"
    assert cipher_spec_name(0x00002F) == "TLS_RSA_WITH_AES_128_CBC_SHA"
    assert cipher_spec_name(0x990000) == "0x990000"


def test_signatures_name_their_scheme_since_1_2() -> None:
    assert [v for v in (0x0300, 0x0301, 0x0302, 0xFEFF, 0x0100) if has_signature_schemes(v)] == []
    assert all(has_signature_schemes(v) for v in (0x0303, 0x0304, 0x7F12, 0xFEFD, 0xFEFC))


def test_every_suite_before_1_3_has_a_key_exchange() -> None:
    without = {
        row["name"] for row in rows_of("cipher_suites") if "_WITH_" in row["name"] and key_exchange(row["name"]) is None
    }
    assert without == {"TLS_NULL_WITH_NULL_NULL"}
    assert key_exchange("TLS_AES_128_GCM_SHA256") is None
    assert key_exchange("GREASE") is None


def test_annotated_fields_lead_to_their_registry() -> None:
    assert typing.get_args(codepoints.Group) == (int, Registry.GROUPS)
