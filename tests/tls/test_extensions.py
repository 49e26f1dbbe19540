from __future__ import annotations

import csv
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tls_vectors import named

from tlsdissect.tls import extension_ech as ech
from tlsdissect.tls import extension_keys as keys
from tlsdissect.tls import extension_names as names
from tlsdissect.tls import extension_proofs as proofs
from tlsdissect.tls import extensions
from tlsdissect.tls.certificate import CertificateStatus
from tlsdissect.tls.client_hello import Extension
from tlsdissect.tls.codepoints import GREASE, Registry
from tlsdissect.tls.extensions import (
    FROM_CERTIFICATE_ENTRY,
    FROM_CERTIFICATE_REQUEST,
    FROM_CLIENT,
    FROM_RETRY,
    FROM_SERVER,
    FROM_TICKET,
    Table,
    decode,
    offsets,
)
from tlsdissect.tls.remarks import remark
from tlsdissect.tls.wire import Reader, WireError

if TYPE_CHECKING:
    from msgspec import Struct

TABLES = (FROM_CLIENT, FROM_SERVER, FROM_RETRY, FROM_CERTIFICATE_REQUEST, FROM_CERTIFICATE_ENTRY, FROM_TICKET)
FLAG = keys.Flag()
SHA1 = "ab" * 20
TOKEN = "07" * 16

BODIES: list[tuple[Table, int, str, Struct]] = [
    (FROM_CLIENT, 0, "0006 00 0003 612e62", names.ServerNameList((names.ServerName(0, b"a.b"),))),
    (FROM_SERVER, 0, "", FLAG),
    (FROM_CLIENT, 1, "04", keys.MaxFragmentLength(4)),
    (FROM_CLIENT, 2, "", FLAG),
    (
        FROM_CLIENT,
        3,
        f"001c 00 01{SHA1} 02 0003 300161",
        names.TrustedAuthorities(
            (
                names.TrustedAuthority(0, None, None),
                names.TrustedAuthority(1, b"\xab" * 20, None),
                names.TrustedAuthority(2, None, b"\x30\x01a"),
            )
        ),
    ),
    (FROM_CLIENT, 4, "", FLAG),
    (FROM_CLIENT, 5, "01 0000 0000", names.CertificateStatusRequest(1, names.OcspStatusRequest((), b""))),
    (
        FROM_CLIENT,
        5,
        "01 0003 000161 0001 62",
        names.CertificateStatusRequest(1, names.OcspStatusRequest((b"a",), b"b")),
    ),
    (FROM_CLIENT, 5, "07 616263", names.CertificateStatusRequest(7, b"abc")),
    (FROM_SERVER, 5, "", FLAG),
    (FROM_CERTIFICATE_ENTRY, 5, "01 000001 61", CertificateStatus(1, b"a", None)),
    (FROM_CLIENT, 6, "01 40", names.UserMappingTypeList((64,))),
    (FROM_CLIENT, 7, "01 00", names.AuthorizationDataFormats((0,))),
    (FROM_CLIENT, 9, "02 0001", names.CertificateTypes((0, 1))),
    (FROM_SERVER, 9, "01", names.SelectedCertificateType(1)),
    (FROM_CLIENT, 10, "0004 001d 0a0a", keys.NamedGroupList((29, 0x0A0A))),
    (FROM_SERVER, 11, "01 00", keys.EcPointFormatList((0,))),
    (FROM_CLIENT, 12, "03 626f62", keys.Srp(b"bob")),
    (FROM_CLIENT, 13, "0002 0403", keys.SignatureSchemeList((0x0403,))),
    (FROM_CLIENT, 14, "0002 0007 00", keys.UseSrtp((7,), b"")),
    (FROM_CLIENT, 15, "01", keys.Heartbeat(1)),
    (FROM_CLIENT, 16, "0003 02 6832", names.ProtocolNameList((b"h2",))),
    (
        FROM_CLIENT,
        17,
        "000b 02 0004 0000 0000 09 0001 61",
        names.CertificateStatusRequestListV2(
            (
                names.CertificateStatusRequestItemV2(2, names.OcspStatusRequest((), b"")),
                names.CertificateStatusRequestItemV2(9, b"a"),
            )
        ),
    ),
    (FROM_CLIENT, 18, "", FLAG),
    (FROM_SERVER, 18, "0003 0001 61", proofs.SignedCertificateTimestampList((b"a",))),
    (FROM_CLIENT, 20, "01 02", names.CertificateTypes((2,))),
    (FROM_SERVER, 20, "02", names.SelectedCertificateType(2)),
    (FROM_CLIENT, 21, "0000", keys.Opaque(b"\0\0")),
    (FROM_CLIENT, 22, "", FLAG),
    (FROM_CLIENT, 23, "", FLAG),
    (FROM_CLIENT, 24, "01 00 01 02", keys.TokenBindingParameters(1, 0, (2,))),
    (FROM_CLIENT, 25, "0003 01 01 61", names.CachedInformation((names.CachedObject(1, b"a"),))),
    (FROM_SERVER, 25, "0001 02", names.CachedInformationTypes((2,))),
    (FROM_CLIENT, 26, "", FLAG),
    (FROM_CLIENT, 29, "02 6162", keys.PwdName(b"ab")),
    (FROM_CLIENT, 30, "03 626f62", keys.PwdName(b"bob")),
    (FROM_RETRY, 31, "0001 61", keys.PasswordSalt(b"a")),
    (FROM_CLIENT, 32, "0003 0001 61", proofs.PinningTicket((b"a",))),
    (FROM_CLIENT, 32, "0000", proofs.PinningTicket(())),
    (FROM_SERVER, 32, "02 01 62 0003 0001 61 00015180", proofs.PinningProof((b"b",), (b"a",), 86_400)),
    (FROM_CLIENT, 39, "02 0102", keys.EktCiphers((1, 2))),
    (FROM_SERVER, 39, "02", keys.SelectedEktCipher(2)),
    (FROM_CLIENT, 27, "02 0002", names.CertificateCompressionAlgorithms((2,))),
    (FROM_CLIENT, 28, "4001", keys.RecordSizeLimit(0x4001)),
    (FROM_CLIENT, 34, "0002 0403", keys.SignatureSchemeList((0x0403,))),
    (
        FROM_CERTIFICATE_ENTRY,
        34,
        "00000010 0403 000001 61 0804 0001 62",
        names.DelegatedCredential(16, 0x0403, b"a", 0x0804, b"b"),
    ),
    (FROM_CLIENT, 35, "", keys.Opaque(b"")),
    (FROM_CLIENT, 35, "616263", keys.Opaque(b"abc")),
    (FROM_CLIENT, 40, "0005 0017 0001 04", keys.KeyShares((keys.KeyShareEntry(23, b"\x04"),))),
    (
        FROM_CLIENT,
        41,
        "0007 0001 61 00000005 0003 02 6262",
        keys.OfferedPsks((keys.PskIdentity(b"a", 5),), (b"bb",)),
    ),
    (FROM_SERVER, 41, "0001", keys.SelectedPsk(1)),
    (FROM_CLIENT, 42, "", FLAG),
    (FROM_TICKET, 42, "00004000", keys.MaxEarlyDataSize(16384)),
    (FROM_CLIENT, 43, "04 0304 0303", keys.SupportedVersions((0x0304, 0x0303))),
    (FROM_SERVER, 43, "0304", keys.SelectedVersion(0x0304)),
    (FROM_RETRY, 44, "0001 61", keys.Cookie(b"a")),
    (FROM_CLIENT, 45, "01 01", keys.PskKeyExchangeModes((1,))),
    (FROM_CERTIFICATE_REQUEST, 47, "0004 0002 3000", names.CertificateAuthorities((b"0\0",))),
    (FROM_CERTIFICATE_REQUEST, 48, "0006 02 0603 0001 61", names.OidFilters((names.OidFilter(b"\x06\x03", b"a"),))),
    (FROM_CLIENT, 49, "", FLAG),
    (FROM_CLIENT, 50, "0002 0403", keys.SignatureSchemeList((0x0403,))),
    (FROM_CLIENT, 51, "0005 001d 0001 04", keys.KeyShares((keys.KeyShareEntry(29, b"\x04"),))),
    (FROM_CLIENT, 51, "0000", keys.KeyShares(())),
    (FROM_SERVER, 51, "001d 0001 04", keys.KeyShareEntry(29, b"\x04")),
    (FROM_RETRY, 51, "0018", keys.SelectedGroup(24)),
    (FROM_SERVER, 52, "0003 0001 61", proofs.TransItemList((b"a",))),
    (FROM_CLIENT, 53, "00", keys.ConnectionId(b"")),
    (FROM_CLIENT, 54, "01 61", keys.ConnectionId(b"a")),
    (FROM_CLIENT, 55, "01 61", keys.ExternalIdHash(b"a")),
    (FROM_CLIENT, 56, "01 61", keys.ExternalSessionId(b"a")),
    (
        FROM_CLIENT,
        57,
        "01 02 6710 7127 01 00",
        ech.TransportParameters(
            (ech.TransportParameter(1, 2, 10_000), ech.TransportParameter(0x3127, 1, 0)),
        ),
    ),
    (
        FROM_CLIENT,
        0xFFA5,
        "0006 0001 0002 6710",
        ech.TransportParameters((ech.OldTransportParameter(1, 2, 10_000),)),
    ),
    (
        FROM_SERVER,
        57,
        "0d 29 c0000201 01bb 20010db8000000000000000000000001 01bc 00" + TOKEN + "11 08 00000001 6b3343cf 0f 01 ff",
        ech.TransportParameters(
            (
                ech.TransportParameter(
                    13,
                    41,
                    ech.PreferredAddress(
                        b"\xc0\0\2\1",
                        443,
                        bytes.fromhex("20010db8000000000000000000000001"),
                        444,
                        b"",
                        bytes.fromhex(TOKEN),
                    ),
                ),
                ech.TransportParameter(17, 8, ech.VersionInformation(1, (0x6B3343CF,))),
                ech.TransportParameter(15, 1, b"\xff"),
            )
        ),
    ),
    (FROM_CLIENT, 61, "", FLAG),
    (FROM_CERTIFICATE_ENTRY, 62, "02 0180", keys.FlagExtensions(b"\x01\x80")),
    (FROM_CLIENT, 58, "02 01", keys.TicketRequest(2, 1)),
    (FROM_SERVER, 58, "02", keys.TicketRequestHint(2)),
    (FROM_CLIENT, 59, "01bb", proofs.DnssecPort(443)),
    (
        FROM_SERVER,
        59,
        "0001 001c 01 61 00 0034 0001 00000e10 0004 03 01 01 aa 00 0010 0001 00000000 0000",
        proofs.DnssecChain(
            1,
            (
                proofs.DnsRecord(b"\1a\0", 52, 1, 3600, proofs.Tlsa(3, 1, 1, b"\xaa")),
                proofs.DnsRecord(b"\0", 16, 1, 0, b""),
            ),
        ),
    ),
    (FROM_CLIENT, 13172, "", FLAG),
    (FROM_SERVER, 13172, "02 6832 01 78", names.NextProtocols((b"h2", b"x"))),
    (FROM_CLIENT, 17613, "0003 02 6832", names.ProtocolNameList((b"h2",))),
    (FROM_CLIENT, 30032, "", FLAG),
    (FROM_CLIENT, 0xFD00, "02 0033", ech.EchOuterExtensions((51,))),
    (
        FROM_CLIENT,
        0xFE0D,
        "00 0001 0003 2a 0001 61 0002 6262",
        ech.EchClientHello(0, ech.HpkeSymmetricCipherSuite(1, 3), 42, b"a", b"bb"),
    ),
    (FROM_CLIENT, 0xFE0D, "01", ech.EchClientHello(1, None, None, None, None)),
    (
        FROM_CLIENT,
        0xFFCE,
        "1301 001d 0002 aabb 0001 cc 0002 ddee",
        ech.ClientEncryptedSni(0x1301, keys.KeyShareEntry(0x1D, b"\xaa\xbb"), b"\xcc", b"\xdd\xee"),
    ),
    (FROM_RETRY, 0xFE0D, "0102030405060708", ech.EchConfirmation(bytes(range(1, 9)))),
    (
        FROM_SERVER,
        0xFE0D,
        "001a fe0d 0011 07 0020 0001 61 0004 0001 0001 00 01 62 0000 0a0a 0001 63",
        ech.EchRetryConfigs(
            (
                ech.EchConfig(
                    0xFE0D,
                    ech.EchConfigContents(7, 0x20, b"a", (ech.HpkeSymmetricCipherSuite(1, 1),), 0, b"b", ()),
                ),
                ech.EchConfig(0x0A0A, b"c"),
            )
        ),
    ),
    (FROM_CLIENT, 0xFF01, "00", keys.RenegotiationInfo(b"")),
]

# Bodies that are opaque, or end in opaque data or in items without a count, extend to the end of their bytes.
OPEN_ENDED = (keys.Opaque, names.NextProtocols, ech.TransportParameters)


def open_ended(body: Struct) -> bool:
    return isinstance(body, OPEN_ENDED) or (
        isinstance(body, names.CertificateStatusRequest) and isinstance(body.request, bytes)
    )


def each_body(bodies: list[tuple[Table, int, str, Struct]]) -> pytest.MarkDecorator:
    ids = [f"{number}-{type(body).__name__}" for _, number, _, body in bodies]
    return pytest.mark.parametrize(("table", "number", "data", "body"), bodies, ids=ids)


@each_body(BODIES)
def test_whole(table: Table, number: int, data: str, body: Struct) -> None:
    assert decode(table, number, bytes.fromhex(data)) == body
    assert decode(table, number, bytes.fromhex(data)) == body


@each_body([case for case in BODIES if not open_ended(case[3])])
def test_cut_short_and_with_bytes_after_it(table: Table, number: int, data: str, body: Struct) -> None:
    whole = bytes.fromhex(data)
    for wrong in [whole[:n] for n in range(len(whole))] + [whole + b"\0"]:
        if table is FROM_CLIENT and number == 17 and not wrong:
            continue
        with pytest.raises(WireError):
            decode(table, number, wrong)


FORMATS_OF_NO_RFC = {"TLMSP", "TLMSP_proxying", "TLMSP_delegate", "sequence_number_encryption_algorithms"}


def test_every_registered_extension_is_decoded() -> None:
    """In at least one message; the remarks on the others state that no RFC defines their format."""
    numbers = {number for table in TABLES for number in table}
    registered = {number: name for number, name in registry("extensions").items() if number not in GREASE}
    assert len(registered) > 60
    assert {name for number, name in registered.items() if number not in numbers} == FORMATS_OF_NO_RFC
    for number, name in registered.items():
        assert name not in FORMATS_OF_NO_RFC or "in no RFC" in (remark(Registry.EXTENSIONS, number) or "")


RRSIG = "0030 08 00 0002a300 6a000000 69000000 4f66 00 aabb"
RECORDS = [
    (43, "4f66 08 02 aa", proofs.Ds(0x4F66, 8, 2, b"\xaa")),
    (48, "0101 03 0d aa", proofs.Dnskey(257, 3, 13, b"\xaa")),
    (46, RRSIG, proofs.Rrsig(48, 8, 0, 172_800, 0x6A000000, 0x69000000, 0x4F66, b"\0", b"\xaa\xbb")),
    (5, "01 62 00", proofs.DnsAlias(b"\1b\0")),
    (47, "aabb", b"\xaa\xbb"),
]


@pytest.mark.parametrize(("kind", "data", "told"), RECORDS, ids=[str(kind) for kind, _, _ in RECORDS])
def test_records_of_a_dnssec_chain(kind: int, data: str, told: Struct | bytes) -> None:
    rdata = bytes.fromhex(data)
    record = b"\x01a\0" + struct.pack(">HHIH", kind, 1, 300, len(rdata)) + rdata
    chain = decode(FROM_SERVER, 59, struct.pack(">HH", 1, len(record)) + record)
    assert chain == proofs.DnssecChain(1, (proofs.DnsRecord(b"\1a\0", kind, 1, 300, told),))


ITEMS = [
    ("0102 02 2a03 0000018bcfe56800 0000 0001 aa", proofs.TimestampedEntryV2(b"*\3", 1_700_000_000_000, b"", b"\xaa")),
    (
        "0104 02 2a03 0000018bcfe56800 0000000000000009 01 bb 0000 0001 aa",
        proofs.SignedTreeHeadV2(b"*\3", 1_700_000_000_000, 9, b"\xbb", b"", b"\xaa"),
    ),
    (
        "0105 02 2a03 0000000000000001 0000000000000009 0002 01 cc",
        proofs.ConsistencyProofV2(b"*\3", 1, 9, (b"\xcc",)),
    ),
    (
        "0106 02 2a03 0000000000000009 0000000000000001 0002 01 cc",
        proofs.InclusionProofV2(b"*\3", 9, 1, (b"\xcc",)),
    ),
    ("e001 aa", b"\xaa"),
]


@pytest.mark.parametrize(("data", "told"), ITEMS, ids=[data[:4] for data, _ in ITEMS])
def test_items_of_transparency(data: str, told: Struct | bytes) -> None:
    whole = bytes.fromhex(data)
    assert Reader(whole).whole(proofs.TransItem.read) == proofs.TransItem(int(data[:4], 16), told)
    if told != b"\xaa":
        for wrong in (*(whole[:n] for n in range(len(whole))), whole + b"\0"):
            with pytest.raises(WireError):
                Reader(wrong).whole(proofs.TransItem.read)


def registry(file: str) -> dict[int, str]:
    path = Path(extensions.__file__).parent / "iana" / f"{file}.csv"
    with path.open(encoding="ascii", newline="") as lines:
        return {int(row["value"], 16): row["name"] for row in csv.DictReader(lines)}


def test_unknown_extensions() -> None:
    assert decode(FROM_CLIENT, 0x0A0A, b"x") is None
    assert decode(FROM_CLIENT, 0xFFCD, b"x") is None
    assert decode(FROM_RETRY, 0, b"") is None


def test_malformed_bodies() -> None:
    with pytest.raises(WireError, match="unknown authority identifier type 4"):
        decode(FROM_CLIENT, 3, bytes.fromhex("000104"))
    with pytest.raises(WireError, match="unknown encrypted_client_hello type 2"):
        decode(FROM_CLIENT, 0xFE0D, b"\x02")


def test_offsets_of_bodies() -> None:
    for vector in named("client_hello", "server_hello"):
        hello = Reader(vector.body).whole(vector.read)
        for extension, start in zip(hello.extensions, offsets(hello.extensions, len(vector.body)), strict=True):
            assert vector.body[start:].startswith(extension.extension_data)
            assert vector.body[start - 4 : start - 2] == extension.extension_type.to_bytes(2, "big")


def test_extensions_of_recorded_messages_decode() -> None:
    for vector in named("client_hello", "server_hello", "encrypted_extensions"):
        hello = Reader(vector.body).whole(vector.read)
        retry = getattr(hello, "is_hello_retry_request", False)
        table = FROM_CLIENT if vector.sender == "client" else FROM_RETRY if retry else FROM_SERVER
        for extension in hello.extensions:
            assert decode(table, extension.extension_type, extension.extension_data) is not None


@given(st.data())
def test_any_bytes_give_a_body_or_a_wire_error(data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(TABLES))
    number = data.draw(st.sampled_from(sorted(table)))
    body = data.draw(st.binary(max_size=60))
    with suppress(WireError):
        decode(table, number, body)


@given(st.lists(st.builds(Extension, st.integers(0, 0xFFFF), st.binary(max_size=20)), max_size=8))
def test_offsets_end_where_the_message_ends(extensions: list[Extension]) -> None:
    body = b"".join(
        e.extension_type.to_bytes(2, "big") + len(e.extension_data).to_bytes(2, "big") + e.extension_data
        for e in extensions
    )
    starts = offsets(tuple(extensions), len(body))
    assert all(body[s : s + len(e.extension_data)] == e.extension_data for s, e in zip(starts, extensions, strict=True))
