"""What changed between two captures, on a recorded upgrade and on connections made by hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from made import made
from msgspec.structs import replace
from recorded import ROOT

import tlsdissect
from tlsdissect.model.connection import Closure, Endpoint
from tlsdissect.views.diff import builder, model
from tlsdissect.views.diff.builder import DiffBuilder, Given
from tlsdissect.views.diff.text import lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.diff.model import By, CaptureDiff

UPGRADE = [ROOT / f"samples/network/network-upgrade-{when}.pcap" for when in ("before", "after")]
WEB = "www.example:8441"


def diffed(before: Iterable[Connection], after: Iterable[Connection], by: By = "name") -> CaptureDiff:
    both = DiffBuilder(by)
    counts = [0, 0]
    for side, (add, connections) in enumerate(((both.add_before, before), (both.add_after, after))):
        for connection in connections:
            add(connection)
            counts[side] += 1
    return both.result(*(Given((name,), many, ()) for name, many in zip(("b", "a"), counts, strict=True)))


def of(client: str = "192.0.2.1", **changes: Any) -> Connection:
    """A connection of a client to www.example:443, which worked unless it says otherwise."""
    return made(
        **{"client": Endpoint(client, 5000), "server": Endpoint("198.51.100.1", 443), "sni": "www.example", **changes}
    )


def failed(client: str = "192.0.2.1", **changes: Any) -> Connection:
    return of(client, **{"outcome": "reset", "failed_by": "server", "closure": Closure("fin", "rst"), **changes})


@pytest.fixture(scope="module")
def upgrade() -> CaptureDiff:
    return tlsdissect.diff(*UPGRADE)


def test_three_clients_stop_working_for_three_reasons(upgrade: CaptureDiff) -> None:
    told = {one.client: (one.before, one.after) for one in upgrade.broke}
    assert {one.server for one in upgrade.broke} == {WEB}
    assert {client: (before.established, after.failures[0].what) for client, (before, after) in told.items()} == {
        "192.0.2.11": (2, "alert unknown_ca by client"),
        "192.0.2.12": (3, "alert protocol_version by server"),
        "192.0.2.13": (1, "alert handshake_failure by server"),
    }
    assert all(before.failed == after.established == 0 for before, after in told.values())
    printer, scanner = told["192.0.2.12"], told["192.0.2.13"]
    assert "offered only TLS 1.0, which the server does not accept" in printer[1].failures[0].why[1].text
    assert printer[0].versions == ("TLS 1.0",)
    assert scanner[0].cipher_suites == ("TLS_RSA_WITH_AES_128_CBC_SHA",)
    assert "TLS_RSA_WITH_AES_128_CBC_SHA" in scanner[1].failures[0].why[1].text


def test_the_others_go_on_with_another_version_and_a_new_certificate(upgrade: CaptureDiff) -> None:
    (server,) = upgrade.servers
    assert server.server == WEB
    told = {(one.fact, one.clients): (one.before, one.after) for one in server.facts}
    assert told["version", ("192.0.2.10",)] == (("TLS 1.2",), ("TLS 1.3",))
    assert told["alpn", ("192.0.2.14",)] == (("none",), ("http/1.1",))
    # What the laptop agreed on by ALPN is encrypted afterwards: that is no change.
    assert ("alpn", ("192.0.2.10",)) not in told
    assert server.certificates is not None
    (gone,), (new,) = server.certificates.gone, server.certificates.new
    assert (gone.key, new.key, new.subject) == ("RSA 2048", "P-256", "CN=www.example")
    assert server.certificates.differs is not None
    assert {"issuer", "key", "subject"} <= set(server.certificates.differs)
    assert "not_after" not in server.certificates.differs


def test_who_failed_before_works(upgrade: CaptureDiff) -> None:
    (camera,) = upgrade.recovered
    assert (camera.client, camera.before.failures[0].what, camera.after.versions) == (
        "192.0.2.15",
        "alert protocol_version by server",
        ("TLS 1.3",),
    )


def test_what_is_on_one_side_only_is_no_change(upgrade: CaptureDiff) -> None:
    assert upgrade.only_before == model.Unpaired((), ("shop.example:8443",), ())
    assert upgrade.only_after == model.Unpaired((), ("new.example:8443",), ())
    assert upgrade.unchanged == model.Unchanged(works=1, fails=0, mixed=0)
    assert upgrade.paired == 7


def test_fingerprints_and_times(upgrade: CaptureDiff) -> None:
    assert upgrade.ja4 is not None
    assert [(one.connections, [peer.name for peer in one.clients]) for one in upgrade.ja4.new] == [(10, ["192.0.2.10"])]
    assert upgrade.times.differences is not None
    trips = next(one for one in upgrade.times.differences if one.measure == "round_trips")
    assert (trips.difference, trips.low, trips.high, trips.connections) == (1, 1, 1, 20)
    times = next(one for one in upgrade.times.differences if one.measure == "milliseconds")
    assert times.difference == times.old - times.new
    shown = " ".join("\n".join(lines(upgrade)).split())
    assert f"{times.old:.2f}" in shown
    assert f"{times.new:.2f}" in shown
    # The medians of all pairs are other numbers, and would stand beside a difference that is not theirs.
    assert "ms of 13 before" not in shown


def test_the_reverse_is_the_reverse(upgrade: CaptureDiff) -> None:
    back = tlsdissect.diff(*UPGRADE[::-1])
    assert {one.client for one in back.recovered} == {one.client for one in upgrade.broke}
    assert {one.client for one in back.broke} == {one.client for one in upgrade.recovered}
    assert (back.only_before, back.only_after) == (upgrade.only_after, upgrade.only_before)


@pytest.mark.parametrize("path", sorted((ROOT / "samples").rglob("*.pcap*")), ids=lambda path: path.name)
def test_a_capture_does_not_differ_from_itself(path: Any) -> None:
    same = tlsdissect.diff(path, path)
    assert not same.changed
    assert same.only_before == same.only_after == model.Unpaired((), (), ())
    assert same.paired == same.unchanged.works + same.unchanged.fails + same.unchanged.mixed + same.undecided


def test_states() -> None:
    """Some failures where there were none broke something; fewer are better; the same reasons are no news."""
    both = [of(), failed()]
    assert [len(diffed(*sides).broke) for sides in ((both[:1], both), (both, both[1:]), (both, both))] == [1, 1, 0]
    assert [len(diffed(*sides).recovered) for sides in ((both, both[:1]), (both[1:], both), (both, both))] == [1, 1, 0]
    other = failed(outcome="closed")
    assert diffed([failed()], [failed()]).unchanged.fails == 1
    assert len(diffed([failed()], [other]).fails_differently) == 1
    assert not diffed([failed(), other], [other]).changed


def test_what_a_capture_does_not_show_is_neither() -> None:
    for sides in (([of()], [of(outcome="incomplete")]), ([of(outcome="one_sided")], [failed()])):
        found = diffed(*sides)
        assert (found.broke, found.undecided, found.unchanged) == ((), 1, model.Unchanged(0, 0, 0))
        assert "of 1 the end is not seen" in str(found)


def test_other_clients_are_no_change() -> None:
    old = of("192.0.2.2", version="TLS 1.0")
    found = diffed([of(), old], [of()])
    assert found.servers == ()
    assert found.only_before is not None
    assert found.only_before.clients == ("192.0.2.2",)


def test_where_no_client_is_in_both_the_same_ja4_takes_its_place() -> None:
    """Clients whose addresses change, as those of a public server: what is compared is what the same offer got."""
    other = "t13d000000_000000000000_000000000000"
    before = [of("192.0.2.1"), of("192.0.2.2"), of("192.0.2.5", ja4=other, version="TLS 1.3")]
    after = [failed("192.0.2.3"), failed("192.0.2.4"), of("192.0.2.6", ja4=other, version="TLS 1.2")]
    found = diffed(before, after)
    (broke,) = found.broke
    assert (broke.client, broke.ja4, broke.before.established, broke.after.failed) == (None, of().ja4, 2, 2)
    assert broke.after.failures[0].connections == 2
    assert f"clients with JA4 {of().ja4} to www.example: 2 of 2 worked before, 0 of 2 now" in unwrapped(str(found))
    (server,) = found.servers
    assert [(one.fact, one.clients, one.ja4) for one in server.facts] == [("version", (), (other,))]
    assert not diffed([of("192.0.2.1")], [failed("192.0.2.3", ja4=other)]).broke


def test_clients_of_a_server_with_the_same_reason_are_told_together() -> None:
    clients = [f"192.0.2.{number}" for number in range(1, 6)]
    text = str(diffed([of(client) for client in clients], [failed(client) for client in clients]))
    assert "192.0.2.1, 192.0.2.2, 192.0.2.3 and 2 more to www.example: 5 of 5 worked before, 0 of 5 now" in unwrapped(
        text
    )
    assert "5 reset by server" in text
    assert "%" not in text.replace("95 %", "")


def unwrapped(text: str) -> str:
    return " ".join(text.split())


def test_names_and_addresses() -> None:
    """A server that moved to another address is the same by its name, and another one by its address."""
    moved = replace(failed(), server=Endpoint("198.51.100.2", 443), sni="WWW.example")
    assert len(diffed([of()], [moved]).broke) == 1
    by_address = diffed([of()], [moved], "address")
    assert (by_address.broke, by_address.paired) == ((), 0)
    assert by_address.only_after == model.Unpaired((), ("198.51.100.2:443",), ())
    assert "not known: no client or server is in both" in str(by_address)
    nameless = diffed([of(sni=None)], [failed(sni=None)])
    assert [one.server for one in nameless.broke] == ["198.51.100.1:443"]
    with pytest.raises(ValueError, match="by must be one of name, address, not 'sni'"):
        tlsdissect.diff(*UPGRADE, by="sni")  # type: ignore[arg-type]


def test_hidden_certificates_are_no_change_and_shown_ones_are() -> None:
    leaf = of().certificates[0]  # type: ignore[index]
    renewed = replace(leaf, sha256="1" * 64, not_after="2027-01-01T00:00:00Z")
    assert diffed([of()], [of(certificates=None)]).servers == ()
    (server,) = diffed([of()], [of(certificates=(renewed,))]).servers
    assert server.certificates is not None
    assert server.certificates.differs == ("not_after",)


def test_certificates_that_look_the_same_are_one_line() -> None:
    """Servers behind one name may each have a certificate of their own with the same subject, key and end."""
    leaf = of().certificates[0]  # type: ignore[index]
    others = [of(certificates=(replace(leaf, sha256=f"{number:064x}"),)) for number in range(4)]
    text = unwrapped(str(diffed([of()], others)))
    assert text.count("new certificate") == text.count("4 new certificates, alike: ") == 1


def test_limits_leave_out_and_claim_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [of(f"192.0.2.{number}") for number in range(100)]
    monkeypatch.setattr(builder, "DIFF_BYTES", 64 << 10)
    found = diffed(many, many)
    assert found.before.left_out > 0
    assert found.before.left_out + found.after.left_out + found.before.clients + found.after.clients == 200
    assert (found.only_before, found.only_after, found.ja4, found.broke) == (None, None, None, ())
    assert "there were too many clients and servers to keep" in unwrapped(str(found))
    monkeypatch.undo()
    monkeypatch.setattr(builder, "MAX_VALUES", 3)
    suites = diffed([of(cipher_suite=f"0x{number:04x}") for number in range(9)], [of(version="TLS 1.0")])
    assert (suites.servers, suites.not_compared) == ((), 1)


def test_hostile_names_reach_no_terminal() -> None:
    evil = "\x1b[2J\u202e"
    found = diffed([of(sni=evil)], [failed(sni=evil, source=f"{evil}\udce9.pcap")])
    assert found.broke
    assert evil not in str(found)
    assert "\x1b" not in str(found)
    assert msgspec.json.encode(found)


def test_every_key_is_documented() -> None:
    text = (ROOT / "docs/diff.md").read_text()
    told = set(re.findall(r"[`\"]([a-z0-9_]+)[`\"]", text))
    kinds = [one for one in vars(model).values() if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    assert {name for kind in kinds for name in kind.__struct_fields__} - told == set()
