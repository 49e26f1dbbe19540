"""Exports under the names of other tools: tshark's against tshark itself, the others against their definitions."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from made import made
from msgspec.structs import replace
from recorded import ROOT, SAMPLES

import tlsdissect
from tlsdissect.model.connection import Alert, Message
from tlsdissect.views.columns import COLUMNS
from tlsdissect.views.csv import CsvRows
from tlsdissect.views.names import VOCABULARIES, zeek
from tlsdissect.views.names.tshark import TLS

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.connection import Connection, Side

_FRAME = ("frame.number", "tcp.stream", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport")
_RTT = "tcp.analysis.initial_rtt"
_BOTH = {"tls.handshake.type", "tls.handshake.length"}
_SCHEMES = "tls.handshake.sig_hash_alg"


def rows(vocabulary: str, connections: list[Connection]) -> list[dict[str, Any]]:
    (table, *_) = VOCABULARIES[vocabulary]()
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for one in connections for row in table.rows(one)]


def told_by_tshark(path: Path) -> list[dict[str, str]]:
    names = [column.name for column in TLS]
    fields = [part for name in names for part in ("-e", name)]
    done = subprocess.run(
        ["tshark", "-n", "-r", path, "-Y", "tls.handshake.type or tls.alert_message.level", "-T", "fields", *fields],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return [dict(zip(names, line.split("\t"), strict=True)) for line in done.stdout.decode().splitlines()]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_fields_are_those_of_tshark(path: Path) -> None:
    ours: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows("tshark", list(tlsdissect.read(path))):
        ours[row["frame.number"]].append(row)
    theirs = {int(row["frame.number"]): row for row in told_by_tshark(path)}
    assert set(ours) == set(theirs)
    for frame, expected in theirs.items():
        for name, value in expected.items():
            if is_told(name, ours[frame]):
                assert joined(name, ours[frame]) == same(name, value), (frame, name)


def is_told(name: str, of_frame: list[dict[str, Any]]) -> bool:
    """Whether the rows of a frame tell a field whole.

    Of a HelloRetryRequest and of the second ClientHello only type and length are told. tshark's schemes are also those
    of a CertificateRequest, a CertificateVerify and the extension delegated_credentials (34).
    """
    kinds = {row["tls.handshake.type"] for row in of_frame}
    delegated = any("34" in (row["tls.handshake.extension.type"] or "").split(",") for row in of_frame)
    partly = any(row["tls.handshake.type"] in {1, 2} and row["tls.handshake.version"] is None for row in of_frame)
    return name in (*_FRAME, *_BOTH) or not (partly or (name == _SCHEMES and (delegated or kinds & {13, 15})))


def joined(name: str, of_frame: list[dict[str, Any]]) -> str:
    """What tshark would print of these rows: one value of a frame, those of its messages one behind the other."""
    values = [same(name, str(row[name])) for row in of_frame if row[name] is not None]
    return ",".join(dict.fromkeys(values) if name in (*_FRAME, _RTT) else values)


def same(name: str, value: str) -> str:
    """A number as it is written here, however many digits it has there."""
    return f"{float(value):.9f}" if name == _RTT and value else value


def test_a_number_that_nobody_knows() -> None:
    from tlsdissect.tls.codepoints import Registry

    assert Registry.GROUPS.number("x25519") == 29
    assert Registry.GROUPS.number("0x9999") == 0x9999
    assert Registry.GROUPS.number("GREASE") is None
    assert Registry.GROUPS.number(None) is None


def messages(*kinds: str) -> tuple[Message, ...]:
    sides: dict[str, Side] = {"C": "client", "S": "server"}
    return tuple(Message(sides[one[0]], one[1:], 1, at, 0.0) for at, one in enumerate(kinds))


@pytest.mark.parametrize(
    ("sample", "history"),
    [
        ("tls12-full", "CsxknGIti"),
        ("tls13-full", "CsiI"),
        ("tls12-resumed-ticket", "CsxknGIti"),
        ("tls13-hello-retry", "CjiICs"),
        ("tls12-client-cert", "CsxkrnXGYIti"),
        ("tls12-no-common-suite", "Cl"),
    ],
)
def test_history_of_zeek(sample: str, history: str) -> None:
    assert rows("zeek", list(tlsdissect.read(ROOT / f"samples/{sample}.pcap")))[0]["ssl_history"] == history


def test_history_of_what_is_rare() -> None:
    said = messages(
        "Shello_request", "Cclient_hello", "Shello_verify_request", "S0x63", "Cencrypted", "Calert", "Salert"
    )
    alerts = (Alert("client", None, None, 5), Alert("server", "fatal", "internal_error", 6))
    assert zeek.history(made(messages=said, alerts=alerts)) == "hCvzl"
    assert zeek.history(made(messages=(), alerts=())) is None


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("SSL 3.0", "SSLv3"),
        ("TLS 1.0", "TLSv10"),
        ("TLS 1.2", "TLSv12"),
        ("TLS 1.3", "TLSv13"),
        ("TLS 1.3 (draft 23)", "TLSv13-draft23"),
        (None, None),
    ],
)
def test_versions_of_zeek(version: str | None, name: str | None) -> None:
    assert zeek.version(made(version=version)) == name


def test_logs_of_zeek() -> None:
    (one,) = tlsdissect.read(ROOT / "samples/tls12-client-cert.pcap")
    ssl, x509 = VOCABULARIES["zeek"]()
    (row,) = ssl.rows(one)
    told = dict(zip([column.name for column in ssl.columns], row, strict=True))
    assert told["uid"] == f"{one.source}:0"
    assert (told["resumed"], told["established"], told["sni_matches_cert"]) == (False, True, True)
    assert told["cert_chain_fps"] == tuple(chain.sha256 for chain in one.certificates or ())
    assert told["client_subject"] == "CN=Alice,O=Sample captures"
    # Each certificate once, however often it is shown.
    certificates = [*x509.rows(one), *x509.rows(one)]
    assert len(certificates) == 3
    leaf = dict(zip([column.name for column in x509.columns], certificates[0], strict=True))
    assert (leaf["fingerprint"], leaf["host_cert"], leaf["client_cert"]) == (told["cert_chain_fps"][0], True, False)
    assert (leaf["certificate.version"], leaf["certificate.exponent"], leaf["certificate.key_type"]) == (
        3,
        "65537",
        "rsa",
    )
    assert leaf["certificate.not_valid_after"] == 2366841600.0


def test_the_elastic_common_schema() -> None:
    (one,) = tlsdissect.read(ROOT / "samples/tls12-client-cert.pcap")
    (certificate, *_) = one.certificates or ()
    one = replace(one, certificates=(replace(certificate, serial="00ab", email_addresses=("a@b.example",)),))
    (row,) = rows("ecs", [one])
    assert (row["tls.version"], row["tls.version_protocol"]) == ("1.2", "tls")
    assert row["tls.server.hash.sha256"] == certificate.sha256.upper() != certificate.sha256
    assert row["tls.server.x509.serial_number"] == "00AB"
    assert row["tls.server.x509.alternative_names"] == ("localhost", "::1", "a@b.example")
    assert row["tlsdissect.round_trips"] == 2
    assert row["tlsdissect.ja4"] == one.ja4
    (old,) = rows("ecs", [replace(one, version="SSL 3.0", certificates=None)])
    assert (old["tls.version"], old["tls.version_protocol"], old["tls.server.hash.sha256"]) == ("3.0", "ssl", None)


def test_nothing_is_lost_to_the_elastic_common_schema() -> None:
    """Every column of the table of connections has a field of ECS, or one of its own."""
    (row,) = rows("ecs", [made()])
    own = {name.removeprefix("tlsdissect.") for name in row}
    told = {str(value) for value in row.values()}
    lost = [one.name for one in COLUMNS if not one.raw and one.name not in own and str(one.value(made())) not in told]
    assert lost == []


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_csv_gives_every_value_back(vocabulary: str, tmp_path: Path) -> None:
    hostile = made(sni="=cmd()", source="-x.pcap")
    for table in VOCABULARIES[vocabulary]():
        written = list(table.rows(hostile))
        names = [column.name for column in table.columns]
        file = tmp_path / f"{table.name}.csv"
        with file.open("wb") as out:
            writer = CsvRows(table, out.write)
            for row in written:
                writer.add(row)
        plain = [[list(value) if isinstance(value, tuple) else value for value in row] for row in written]
        shown = [
            {name: value for name, value in row.items() if not _structs(value)} for row in tlsdissect.load_csv(file)
        ]
        assert shown == [
            {name: value for name, value in zip(names, row, strict=True) if not _structs(value)} for row in plain
        ]


def _structs(value: object) -> bool:
    """Whether this is a list of what JSON has as objects."""
    return isinstance(value, list) and any(not isinstance(one, str) for one in value)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_every_name_is_documented(vocabulary: str) -> None:
    text = (ROOT / "tlsdissect/views/names/README.md").read_text()
    names = [column.name for table in VOCABULARIES[vocabulary]() for column in table.columns]
    plain = [name.replace("tls.client.", "tls.*.").replace("tls.server.", "tls.*.") for name in names]
    missing = [
        name
        for name, either in zip(names, plain, strict=True)
        if f"`{name}`" not in text and f"`{either}`" not in text and not name.startswith("tlsdissect.")
    ]
    assert missing == []
