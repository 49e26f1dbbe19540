"""Chains of every kind: the findings about them, and the agreement of `openssl verify`."""

from __future__ import annotations

import subprocess
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from authority import AT, CLIENT, DAY, NOW, Party, authority, common_name, issue, key, usage, with_sha1
from cryptography import x509
from recorded import need

from tlsdissect.trust.chain import Chain
from tlsdissect.trust.verdicts import Settings, Verdicts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROOT = authority("root")
MIDDLE = authority("middle", ROOT)
LOWER = authority("lower", MIDDLE)
OTHER = authority("other root")
STRANGER = authority("stranger", OTHER)
CROSS = authority("root", OTHER, key_name="p256 root")
LEAF = issue("leaf", MIDDLE)
ALONE = issue("alone")
OLD = issue("old", MIDDLE, begin=NOW - 90 * DAY, end=NOW - 30 * DAY)
NOT_CA = issue("not a ca", MIDDLE, ca=False)
NO_SIGNING = authority("no signing", MIDDLE, key_usage=usage("digital_signature"))
SHORT = authority("short", ROOT, path_length=0)
BELOW_SHORT = authority("below short", SHORT)
OLD_MIDDLE = authority("old middle", ROOT, end=NOW - DAY)
NEW_MIDDLE = authority("new middle", ROOT, begin=NOW + DAY)
ONLY_EXAMPLE = authority(
    "only example.com", ROOT, extra=[(x509.NameConstraints([x509.DNSName("example.com")], None), True)]
)
NOT_EXAMPLE = authority(
    "not example.com", ROOT, extra=[(x509.NameConstraints(None, [x509.DNSName("example.com")]), True)]
)
BELOW_ONLY_EXAMPLE = authority("below only example.com", ONLY_EXAMPLE)
OF_CLIENTS = authority("of clients", ROOT, extra=[(x509.ExtendedKeyUsage([CLIENT]), False)])


def limited(subject: str, base: x509.GeneralName) -> Party:
    """An authority that may certify only names within a base."""
    return authority(subject, ROOT, extra=[(x509.NameConstraints([base], None), True)])


def addressed(address: str) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), False


def mailed(address: str) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName([x509.RFC822Name(address)]), False


ONLY_NET = limited("only a network", x509.IPAddress(ip_network("192.0.2.0/24")))
ONLY_MAIL = limited("only a mail server", x509.RFC822Name("mail.example"))
ONLY_LEAVES = limited("only leaves", x509.DirectoryName(common_name("leaf")))
SHA1_MIDDLE = with_sha1(authority("sha1 middle", ROOT), ROOT)
ODD = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)


class Case(NamedTuple):
    """A chain as it is sent, the trust anchors, and the expected findings besides `untrusted`."""

    chain: list[Party]
    trusted: list[Party] = [ROOT]  # noqa: RUF012 (a default that is never modified)
    found: tuple[str, ...] = ()
    code: int = 0
    side: str = "server"


CASES: dict[str, Case] = {
    "right": Case([LEAF, MIDDLE]),
    "issued by the root": Case([issue("leaf of root", ROOT)]),
    "root sent too": Case([LEAF, MIDDLE, ROOT], found=("root_in_chain",)),
    "four certificates": Case([issue("deep", LOWER), LOWER, MIDDLE]),
    "middle is missing": Case([LEAF], found=("incomplete_chain",), code=20),
    "one of two in the middle is missing": Case([issue("deep", LOWER), LOWER], found=("incomplete_chain",), code=20),
    "gap before the root": Case([LEAF, ROOT], found=("incomplete_chain", "unrelated_certificate"), code=20),
    "out of order": Case([issue("deep", LOWER), MIDDLE, LOWER], found=("misordered_chain",)),
    "root before the middle": Case([LEAF, ROOT, MIDDLE], found=("misordered_chain", "root_in_chain")),
    "sent twice": Case([LEAF, MIDDLE, MIDDLE], found=("duplicate_in_chain",)),
    "leaf sent twice": Case([LEAF, LEAF, MIDDLE], found=("duplicate_in_chain",)),
    "unrelated one": Case([LEAF, MIDDLE, STRANGER], found=("unrelated_certificate",)),
    "unrelated root": Case([LEAF, MIDDLE, OTHER], found=("unrelated_certificate",)),
    "certified by two roots": Case([LEAF, MIDDLE, CROSS]),
    "certified by two roots, the other trusted": Case([LEAF, MIDDLE, CROSS], [OTHER]),
    "another root is trusted": Case([LEAF, MIDDLE], [OTHER], ("incomplete_chain",), 20),
    "its own root, unknown": Case([LEAF, MIDDLE, ROOT], [OTHER], ("root_in_chain",), 19),
    "stands for itself": Case([ALONE], found=("self_signed",), code=18),
    "stands for itself, and is trusted": Case([ALONE], [ALONE], ("self_signed",)),
    "stands for itself, and has another behind it": Case([ALONE, MIDDLE], found=("self_signed", "unrelated_certificate"), code=18),
    "expired": Case([OLD, MIDDLE], found=("expired",), code=10),
    "not yet valid": Case([issue("new", MIDDLE, begin=NOW + DAY, end=NOW + 60 * DAY), MIDDLE], found=("not_yet_valid",), code=9),
    "middle expired": Case([issue("leaf", OLD_MIDDLE), OLD_MIDDLE], found=("expired",), code=10),
    "middle not yet valid": Case([issue("leaf", NEW_MIDDLE), NEW_MIDDLE], found=("not_yet_valid",), code=9),
    "expires soon": Case([issue("late", MIDDLE, end=NOW + 5 * DAY), MIDDLE], found=("expires_soon",)),
    "a third of a short life is left": Case([issue("late", MIDDLE, begin=NOW - 5 * DAY, end=NOW + 2 * DAY), MIDDLE], found=("expires_soon",)),
    "lives too long": Case([issue("old hand", MIDDLE, end=NOW + 600 * DAY), MIDDLE], found=("long_lifetime",)),
    "issued by no authority": Case([issue("leaf", NOT_CA), NOT_CA, MIDDLE], found=("issuer_not_ca",), code=79),
    "issuer's key may not sign": Case([issue("leaf", NO_SIGNING), NO_SIGNING, MIDDLE], found=("wrong_key_usage",), code=79),
    "path too long": Case([issue("deep", BELOW_SHORT), BELOW_SHORT, SHORT], found=("path_too_long",), code=25),
    "path just not too long": Case([issue("leaf", SHORT), SHORT]),
    "name allowed": Case([issue("leaf", ONLY_EXAMPLE), ONLY_EXAMPLE]),
    "name not permitted": Case([issue("leaf", ONLY_EXAMPLE, names=["www.example.org"]), ONLY_EXAMPLE], found=("name_not_permitted",), code=47),
    "name excluded": Case([issue("leaf", NOT_EXAMPLE), NOT_EXAMPLE], found=("name_not_permitted",), code=48),
    "address allowed": Case([issue("leaf", ONLY_NET, names=(), extra=[addressed("192.0.2.7")]), ONLY_NET]),
    "address not permitted": Case([issue("leaf", ONLY_NET, names=(), extra=[addressed("198.51.100.7")]), ONLY_NET], found=("name_not_permitted",), code=47),
    "e-mail allowed": Case([issue("leaf", ONLY_MAIL, names=(), extra=[mailed("a@mail.example")]), ONLY_MAIL]),
    "e-mail not permitted": Case([issue("leaf", ONLY_MAIL, names=(), extra=[mailed("a@other.example")]), ONLY_MAIL], found=("name_not_permitted",), code=47),
    "subject allowed": Case([issue("leaf", ONLY_LEAVES), ONLY_LEAVES]),
    "subject not permitted": Case([issue("tree", ONLY_LEAVES), ONLY_LEAVES], found=("name_not_permitted",), code=47),
    "constraints from far above": Case([issue("leaf", BELOW_ONLY_EXAMPLE, names=["www.example.org"]), BELOW_ONLY_EXAMPLE, ONLY_EXAMPLE], found=("name_not_permitted",), code=47),
    "issued by an authority of clients": Case([issue("leaf", OF_CLIENTS), OF_CLIENTS], found=("wrong_purpose",)),
    "unknown critical extension": Case([issue("leaf", MIDDLE, extra=[ODD]), MIDDLE], code=34),
    "signed by another key": Case([issue("leaf", MIDDLE, signer=key("p256 thief")), MIDDLE], found=("bad_signature",), code=7),
    "a thief's middle of the same name": Case([issue("leaf", MIDDLE), authority("middle", ROOT, key_name="p256 thief", identifiers=False)], found=("bad_signature",), code=7),
    "leaf signed with SHA-1": Case([with_sha1(LEAF, MIDDLE), MIDDLE], found=("weak_signature",)),
    "middle signed with SHA-1": Case([issue("leaf", SHA1_MIDDLE), SHA1_MIDDLE], found=("weak_signature",)),
    "RSA of 1024 bits": Case([issue("leaf", MIDDLE, key_name="rsa1024"), MIDDLE], found=("weak_key",)),
    "RSA of 2048 bits": Case([issue("leaf", MIDDLE, key_name="rsa2048"), MIDDLE]),
    "exponent of 3": Case([issue("leaf", MIDDLE, key_name="rsa2048e3"), MIDDLE], found=("odd_exponent",)),
    "small curve": Case([issue("leaf", MIDDLE, key_name="p192"), MIDDLE], found=("weak_key",)),
    "DSA": Case([issue("leaf", MIDDLE, key_name="dsa"), MIDDLE], found=("weak_key",)),
    "for clients, shown by a server": Case([issue("leaf", MIDDLE, purposes=[CLIENT]), MIDDLE], found=("wrong_purpose",)),
    "client": Case([issue("Alice", MIDDLE, purposes=[CLIENT], key_usage=usage("digital_signature")), MIDDLE], side="client"),
    "for servers, shown by a client": Case([LEAF, MIDDLE], found=("wrong_purpose",), side="client"),
    "client's key not for signatures": Case([issue("Alice", MIDDLE, purposes=[CLIENT], key_usage=usage("key_encipherment")), MIDDLE], found=("wrong_key_usage",), side="client"),
    "client, expired": Case([issue("Alice", MIDDLE, purposes=[CLIENT], begin=NOW - 9 * DAY, end=NOW - DAY), MIDDLE], found=("expired",), code=10, side="client"),
}  # fmt: skip
BESIDE = {"untrusted", "private_name", "email_address"}
"""Findings about many of these chains, which have tests of their own."""


def judged(case: Case, at: str = AT) -> Any:
    verdicts = Verdicts(Settings(anchors=tuple(party.anchor for party in case.trusted)))
    return verdicts.chain_verdict(Chain(case.side, tuple(party.link for party in case.chain)), at)


each_case = pytest.mark.parametrize("name", CASES)


def test_there_are_enough_chains() -> None:
    assert len(CASES) >= 40
    assert sum(case.code == 0 for case in CASES.values()) >= 15


@each_case
def test_findings(name: str) -> None:
    case = CASES[name]
    given = judged(case)
    found = {finding.code for finding in given.findings} - BESIDE
    # A self-signed leaf is reported with its use: see test_judge.
    assert found == set(case.found) - {"self_signed"}
    assert given.path.code == case.code
    assert ("untrusted" in {finding.code for finding in given.findings}) == (case.code != 0)


@each_case
def test_openssl_agrees(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    told = verified(case, tmp_path)
    path = judged(case).path
    assert path.trusted is told.startswith("leaf.pem: OK")
    if not path.trusted:
        # The text for a code differs between versions of OpenSSL.
        assert path.reason
        assert f"error {path.code} at {path.depth} depth lookup: " in told


@each_case
def test_openssl_agrees_on_purposes(name: str, tmp_path: Path) -> None:
    """If the path is valid, whether its certificates are for the side that sends them."""
    case = CASES[name]
    wrong = "wrong_purpose" in case.found or (case.side == "client" and "wrong_key_usage" in case.found)
    if case.code == 0:
        assert verified(case, tmp_path, "-purpose", f"ssl{case.side}").startswith("leaf.pem: OK") is not wrong


def verified(case: Case, folder: Path, *options: str) -> str:
    """The output of `openssl verify` for the chain."""
    for name, parties in (("leaf", case.chain[:1]), ("others", case.chain[1:]), ("trusted", case.trusted)):
        (folder / f"{name}.pem").write_bytes(b"".join(party.pem for party in parties))
    command = [need("openssl"), "verify", "-no-CApath", "-no-CAstore", "-CAfile", "trusted.pem"]
    command += ["-untrusted", "others.pem"] if case.chain[1:] else []
    command += ["-attime", str(int(NOW.timestamp())), *options, "leaf.pem"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60, check=False)
    return done.stdout + done.stderr


def test_without_authorities_trust_is_not_checked() -> None:
    given = judged(Case([LEAF, MIDDLE], []))
    assert (given.path.trusted, given.path.reason) == (None, "not checked")
    assert not {finding.code for finding in given.findings} - BESIDE


@pytest.mark.parametrize(
    ("seconds", "found"), [(-1, "expires_soon"), (0, "expires_soon"), (1, "expired")], ids=["before", "at", "after"]
)
def test_a_verdict_changes_with_the_second(seconds: int, found: str) -> None:
    """A cached verdict is valid only for its interval of time."""
    verdicts = Verdicts(Settings(anchors=(ROOT.anchor,)))
    chain = Chain("server", (LEAF.link, MIDDLE.link))
    end = LEAF.loaded.not_valid_after_utc

    def codes(time: Any) -> set[str]:
        given = verdicts.chain_verdict(chain, time.isoformat()[:19])
        assert given.path.trusted is (time <= end)
        return {finding.code for finding in given.findings} & {"expires_soon", "expired"}

    assert codes(end - 40 * DAY) == set()
    assert codes(end + seconds * (DAY / 86_400)) == {found}
    assert codes(end - 40 * DAY) == set()


def test_each_chain_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = Verdicts(Settings(anchors=(ROOT.anchor,)))
    chain = Chain("server", (LEAF.link, MIDDLE.link))
    asked: list[int] = []
    real: Callable[..., Any] = verdicts._verifier.verify  # type: ignore[union-attr]
    monkeypatch.setattr(verdicts._verifier, "verify", lambda *given: (asked.append(1), real(*given))[1])
    for second in range(50):
        verdicts.chain_verdict(chain, f"2026-06-01T12:00:{second:02d}")
    assert len(asked) == 1
