"""What only keys show, in every view: it is there with keys, marked, and nothing of it is there without."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec.structs import replace
from recorded import ROOT

import tlsdissect
from tlsdissect.corpus.selection import Selection
from tlsdissect.model.connection import Alert
from tlsdissect.model.transcript import kept, keyed_end
from tlsdissect.tls.quic import PacketType, frame_places
from tlsdissect.trust.rules import finding
from tlsdissect.views import table
from tlsdissect.views.certificates import table_row
from tlsdissect.views.comparison.builder import compared
from tlsdissect.views.comparison.formats import Text
from tlsdissect.views.diff.builder import DiffBuilder, Given
from tlsdissect.views.explain import explain
from tlsdissect.views.explain.model import TOPICS
from tlsdissect.views.findings import junit, sarif
from tlsdissect.views.findings.results import Results
from tlsdissect.views.ladder.model import drawn
from tlsdissect.views.ladder.plot import figure
from tlsdissect.views.ladder.text import Text as LadderText
from tlsdissect.views.notebook import card
from tlsdissect.views.report.details import connection_details
from tlsdissect.views.report.failures import Failures
from tlsdissect.views.report.summary import Findings
from tlsdissect.views.summary import SummaryBuilder
from tlsdissect.views.table import Table, findings
from tlsdissect.views.tables import TABLES
from tlsdissect.views.tree import tree
from tlsdissect.views.tree.model import OPENED, Node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tlsdissect.model.connection import Connection

NAMES = ["tls13-client-cert", "tls13-client-cert-rejected", "tls13-full", "tls13-early-data", "tls12-renegotiation"]
NAMES += ["quic/quic-full", "quic/quic-unknown-ca", "dtls/dtls13-key-update", "dtls/dtls12-full", "dtls/dtls12-loss"]


def read(name: str, *, keys: bool) -> list[Connection]:
    path = ROOT / "samples" / f"{name}.pcap"
    return list(tlsdissect.read(path, keep=True, keylog=path.with_suffix(".keys") if keys else ()))


@pytest.mark.parametrize("name", NAMES)
def test_explanations_only_add_a_topic(name: str) -> None:
    for seen, opened in zip(read(name, keys=False), read(name, keys=True), strict=True):
        without, with_keys = explain(seen).sentences, explain(opened).sentences
        # Where keys show another end than anyone sees, the sentence says so.
        marked = [replace(one, text=one.text.replace("Without keys, the capture", "The capture")) for one in with_keys]
        assert tuple(marked[: len(without)]) == without
        added = with_keys[len(without) :]
        assert {sentence.topic for sentence in added} == {"keys"}
        assert TOPICS["keys"] == "What only keys show"
        assert len({(sentence.code, sentence.text) for sentence in added}) == len(added)


def test_what_explanations_say() -> None:
    (rejected,) = read("tls13-client-cert-rejected", keys=True)
    said = {sentence.code: sentence for sentence in explain(rejected).about("keys")}
    assert "CN=Mallory" in said["keys_client_certificate"].text
    request, sent = said["keys_requested"].frames, said["keys_client_certificate"].frames
    assert said["keys_request_not_met"].frames == request + sent
    (accepted,) = read("tls13-client-cert", keys=True)
    assert "keys_request_not_met" not in {sentence.code for sentence in explain(accepted).sentences}
    assert said["keys_alert"].text.startswith("The server sent unknown_ca: ")
    assert said["keys_alert"].frames == (rejected.hidden.alerts[0].frame,)
    early = read("tls13-early-data", keys=True)[1]
    said = {sentence.code: sentence.text for sentence in explain(early).about("keys")}
    assert said["keys_early_data"] == "The server accepted the client's early data."
    assert said["keys_resumes"].startswith("The server resumed the session of stream 0")
    assert early.hidden is not None
    wrong = replace(early, early_data="rejected", round_trips=1, hidden=replace(early.hidden, round_trips=0))
    [said_of_it] = [one.text for one in explain(wrong).about("keys") if one.code == "keys_early_data"]
    assert said_of_it == (
        "The server accepted the client's early data, which waited for no round trip (without keys, it seems to be "
        "rejected)."
    )


def test_a_refusal_that_only_keys_show() -> None:
    """A client closes a QUIC connection in a Handshake packet: only keys show that it refused, and why."""
    [unseen], [opened] = (read("quic/quic-unknown-ca", keys=keys) for keys in (False, True))
    assert (opened.outcome, opened.failed_by, opened.alerts) == (unseen.outcome, None, ())
    assert explain(unseen).verdict.result == "unknown"
    said = explain(opened).verdict
    assert opened.hidden is not None
    assert opened.hidden.alerts is not None
    assert (said.result, said.text, said.frames) == (
        "failed",
        "the client refused the handshake: bad_certificate, as keys show",
        (opened.hidden.alerts[0].frame,),
    )
    assert "incomplete" in _row(unseen)
    assert "alert bad_certificate* by client" in _row(opened)
    ladders = drawn(unseen), drawn(opened)
    assert [(one.outcome, one.failed) for one in ladders] == [
        ("incomplete", False),
        ("alert bad_certificate* by client", True),
    ]
    assert [one.labels for one in ladders[1].arrows if one.failed] == [("encrypted 67", "[alert bad_certificate]")]
    assert not any(one.failed for one in ladders[0].arrows)
    signs = "[in brackets]: decrypted with keys; *: known only with keys"
    for one, shown in zip(ladders, (False, True), strict=True):
        assert (signs in [text.get_text() for text in figure([one]).axes[0].texts]) == shown
        assert (list(LadderText(80).lines(one))[-1] == signs) == shown
    assert ' class="badge bad">alert bad_certificate* by client<' in card(opened)
    selected = Selection(failed=True)
    assert [selected.matches(one, 0) for one in (unseen, opened)] == [False, True]


def test_a_refusal_that_only_keys_show_counts_as_failure() -> None:
    path = ROOT / "samples" / "quic" / "quic-unknown-ca.pcap"
    for keylog, failures, outcome in (
        ((), [], "incomplete"),
        (path.with_suffix(".keys"), ["alert bad_certificate* by client"], "alert*"),
    ):
        builder = SummaryBuilder()
        report = Failures()
        for one in tlsdissect.read(path, keep=True, keylog=keylog):
            builder.add(one)
            report.add(one)
        found = builder.summary(1, Counter(), [])
        assert ([one.what for one in found.failures], found.outcomes) == (failures, {outcome: 1})
        stories = [one for failure in report.by_reason(found) for one in failure.stories]
        assert len(stories) == len(failures)
        for story in stories:
            assert [one for one in story.sentences if one.startswith("The client sent bad_certificate")]


def test_a_close_without_an_alert_that_only_keys_show() -> None:
    """quinn reports a certificate that it refuses by an APPLICATION_ERROR, in a Handshake packet."""
    path = ROOT / "samples" / "quic" / "quic-quinn-unknown-ca.pcap"
    [unseen], [opened] = (tlsdissect.read(path, keep=True, keylog=log) for log in ((), path.with_suffix(".keys")))
    assert opened.hidden is not None
    close = opened.hidden.quic_close
    assert close is not None
    assert (close.sender, close.code, close.reason, close.frame) == ("client", "APPLICATION_ERROR", "", 4)
    assert opened.hidden.alerts is None
    assert (opened.outcome, opened.failed_by, opened.quic) == (unseen.outcome, None, unseen.quic)
    verdict = explain(opened).verdict
    assert verdict.text == "the client closed the connection during the handshake: APPLICATION_ERROR, as keys show"
    assert (explain(unseen).verdict.result, verdict.result, verdict.frames) == ("unknown", "failed", (4,))
    [said] = [one for one in explain(opened).about("keys") if one.code == "keys_close"]
    assert (said.text, said.frames) == ("The client closed the connection with APPLICATION_ERROR.", (4,))
    assert "closed* by client" in _row(opened)
    assert ' class="badge bad">closed* by client<' in card(opened)
    [failed] = [one for one in drawn(opened).arrows if one.failed]
    assert failed.labels[-1] == "[CONNECTION_CLOSE APPLICATION_ERROR]"
    assert [Selection(failed=True).matches(one, 0) for one in (unseen, opened)] == [False, True]
    builder, report = SummaryBuilder(), Failures()
    builder.add(opened)
    report.add(opened)
    found = builder.summary(1, Counter(), [])
    assert ([one.what for one in found.failures], found.outcomes) == (["closed* by client"], {"closed*": 1})
    [failure] = report.by_reason(found)
    assert said.with_evidence in failure.stories[0].sentences
    # A side also closes in a Handshake packet after the handshake, while it does not know what the other can open.
    assert keyed_end(replace(opened, outcome="established")) is None


def test_the_reason_of_a_close_that_stands_for_an_alert() -> None:
    [opened] = read("quic/quic-unknown-ca", keys=True)
    [said] = [one for one in explain(opened).about("keys") if one.code == "keys_close"]
    assert said.text.endswith("with CRYPTO_ERROR, because of: self-signed certificate in certificate chain.")
    assert not any("CONNECTION_CLOSE" in label for one in drawn(opened).arrows for label in one.labels)


def test_what_anyone_sees_of_the_end_does_not_contradict_what_keys_show() -> None:
    def ended(one: Connection) -> dict[str, str]:
        return {sentence.code: sentence.text for sentence in explain(one).about("end")}

    [quic] = read("quic/quic-unknown-ca", keys=True)
    assert ended(quic)["incomplete"].startswith("Without keys, the capture does not show the end of the handshake; ")
    assert ended(replace(quic, hidden=None))["incomplete"].startswith("The capture does not show")
    assert ended(replace(quic, outcome="established"))["quic_end"].startswith(
        "Without keys, nobody can read how it ended"
    )
    [tcp] = read("tls13-client-cert-rejected", keys=True)
    assert tcp.hidden is not None
    for hidden, without in (
        (None, "without an alert;"),
        (tcp.hidden, "without an alert that is readable without keys;"),
    ):
        assert without in ended(replace(tcp, outcome="reset", hidden=hidden))["ended_early"]
    assert ended(tcp)["refused"].startswith("The server refused: ")
    for alerts in ((), (Alert("server", "warning", "close_notify", 9),)):
        told = replace(tcp, hidden=replace(tcp.hidden, alerts=alerts))
        assert ended(told)["refused"].startswith("Without keys, it seems that the server refused: ")
        said = explain(told).verdict
        assert (said.result, said.text) == (
            "unknown",
            "not known: it seems that the server refused the handshake, but keys show no alert that says so",
        )
    # Keys do not open what the server sent: it may be the alert that it seems to be.
    unopened = replace(tcp, hidden=replace(tcp.hidden, alerts=(Alert("client", "warning", "close_notify", 9),)))
    assert explain(unopened).verdict.text == "the server refused the handshake: an encrypted alert"
    [missing] = read("keys/tls13-client-cert-missing", keys=True)
    assert missing.hidden is not None
    assert "no_client_certificate" in ended(missing)
    sent = replace(missing.hidden, client_certificates=tcp.hidden.client_certificates)
    assert "no_client_certificate" not in ended(replace(missing, hidden=sent))


def test_eap_failure_that_reports_a_refusal_which_only_keys_show() -> None:
    """A supplicant refuses the server by an encrypted alert: to anyone without keys, the server refused."""
    [eap] = read("eap/radius-tls-supplicant-refused-tls13", keys=True)
    assert eap.hidden is not None
    assert eap.eap is not None
    [before] = [one for one in explain(eap).about("end") if one.code.startswith("eap_")]
    assert before.text == "The server refused the supplicant before the handshake was over (EAP-Failure)."
    alert = Alert("client", "fatal", "unknown_ca", eap.messages[-1].frame)
    opened = replace(eap, hidden=replace(eap.hidden, alerts=(alert,)))
    assert explain(opened).verdict.text == "the client refused the handshake: unknown_ca, as keys show"
    [said] = [one for one in explain(opened).about("end") if one.code.startswith("eap_")]
    assert said.text == "Keys show that the supplicant refused the server, and EAP-Failure only reports that."
    assert said.frames == (alert.frame, eap.eap.result_frame)
    by_server = replace(eap, hidden=replace(eap.hidden, alerts=(replace(alert, sender="server"),)))
    assert [one for one in explain(by_server).about("end") if one.code.startswith("eap_")] == [before]


@pytest.mark.parametrize("keys", [False, True])
def test_an_authority_that_only_keys_show(keys: bool) -> None:
    [refused] = read("eap/radius-tls-server-refused-tls13", keys=keys)
    [said] = [one for one in explain(refused).about("end") if one.code == "unknown_authority"]
    assert said.text == "Only keys show the authority: TLS 1.3 encrypts certificates."


def test_certificates_that_only_keys_show_are_marked_in_a_page() -> None:
    seen, hidden = (ROOT / "samples" / f"{name}.pcap" for name in ("tls12-full", "tls13-full"))
    keys = hidden.with_suffix(".keys")
    # Both have the same certificates.
    for captures, names in (([hidden], ["localhost*", "smplca*"]), ([hidden, seen], ["localhost", "smplca"])):
        found = tlsdissect.certs(*captures, keylog=keys)
        assert [table_row(one)[0] for one in found] == names
        assert f">{names[0]}<" in found._repr_html_()
    [one, _] = found
    assert one.findings
    marked = replace(one, findings=tuple(replace(each, with_keys=True) for each in one.findings))
    assert all(code.endswith("*") for code in table_row(marked)[8].split(", "))


@pytest.mark.parametrize("name", ["quic-unknown-ca", "quic-quinn-unknown-ca"])
def test_a_comparison_counts_failures_that_only_keys_show(name: str) -> None:
    for keys, failed in ((False, "failed: none\n"), (True, "failed: none; seen with keys besides: 1 with QUIC\n")):
        [group] = compared(read(f"quic/{name}", keys=keys))
        assert failed in b"".join(Text().written([group])).decode()
        assert [(side.failed, side.keyed.failed) for side in group.sides] == [(0, int(keys))]
    [refused] = read("tls13-client-cert-rejected", keys=True)
    [group] = compared([refused])
    # Anyone sees that it failed.
    assert [(side.failed, side.keyed.failed) for side in group.sides] == [(1, 0)]


def test_whose_alert_is_a_refusal() -> None:
    """Alerts of either side, in connections that ended in different ways."""
    [quic] = read("quic/quic-unknown-ca", keys=True)
    tcp = replace(quic, quic=None, transport="tcp")
    [eap] = read("eap/radius-tls-tls13", keys=True)
    assert quic.hidden is not None
    by_client = quic.hidden
    for outcome, by, refused in (
        ("incomplete", None, True),
        ("established", None, False),
        ("alert", "client", True),
        ("alert", "server", False),
        ("reset", "client", True),
        ("closed", "server", False),
    ):
        assert (keyed_end(replace(tcp, outcome=outcome, failed_by=by)) is not None) == refused
    # A server refuses a client's certificate when both have sent packets with 1-RTT keys.
    assert keyed_end(replace(quic, outcome="established")) is not None
    refused = replace(eap, outcome="closed", failed_by="server", hidden=by_client, alerts=())
    assert explain(refused).verdict.text == "the client refused the handshake: bad_certificate, as keys show"
    assert by_client.alerts is not None
    closing = replace(by_client, alerts=(replace(by_client.alerts[0], description="close_notify"),))
    assert keyed_end(replace(quic, hidden=closing)) is None


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
        # A packet of QUIC that keys opened has all of its frames, an alert of QUIC is one of these; an ACK of DTLS is
        # no message.
        besides = {"frames", "ack"}
        assert {node.name for node in marked} <= {message.type for message in opened.hidden.messages} | besides
        # What is opened is in no frame: the bytes of the capture are accounted for as without keys.
        assert not any(node.bytes for top in marked for node in nodes(top))
        plain = [node for record in tree(seen).records for node in nodes(record.node)]
        assert [node.bytes for node in found if node.bytes] == [node.bytes for node in plain if node.bytes]
        assert "opened with keys" in str(tree(opened))


def test_trees_account_for_each_byte_of_the_handshake_packets_that_keys_open() -> None:
    for name in ("quic-full", "quic-compatible-version", "quic-go", "quic-chromium", "quic-unknown-ca"):
        for opened in read(f"quic/{name}", keys=True):
            transcript = kept(opened).transcript
            packets = [one for one in transcript.quic if one.with_keys]
            shown = [node for record in tree(opened).records for node in nodes(record.node) if node.name == "encrypted"]
            shown = [node for node in shown if node.children]
            assert len(shown) == len(packets) > 0
            for one, node in zip(packets, shown, strict=True):
                assert one.kind == PacketType.HANDSHAKE
                assert len(one.header) + len(one.payload) + 16 == one.end - one.start
                number, frames, tag = node.children
                assert (number.name, frames.name, frames.meaning) == ("packet_number", "frames", "opened with keys")
                assert (tag.name, len(bytes.fromhex(tag.value))) == ("tag", 16)
                data = one.header + one.payload
                places = list(frame_places(data, len(one.header), len(data)))
                assert [stop for _, stop, _ in places] == [*[start for start, _, _ in places[1:]], len(data)]
                assert len(frames.children) == len(places)
            messages = [node.name for node in nodes(Node("all", children=tuple(shown))) if node.meaning == OPENED]
            types = [one.type for one in opened.hidden.messages if one.type != "alert"]
            assert sorted(one for one in messages if one != "frames") == sorted(types)


def test_an_alert_of_quic_is_the_connection_close_that_keys_open() -> None:
    (opened,) = read("quic/quic-unknown-ca", keys=True)
    found = {node.name: node for record in tree(opened).records for node in nodes(record.node)}
    assert (found["error_code"].value, found["error_code"].meaning) == ("0x012a", "CRYPTO_ERROR, bad_certificate")
    assert [one.description for one in opened.hidden.alerts] == ["bad_certificate"]
    (refused,) = read("quic/quic-no-common-protocol", keys=False)
    found = {node.name: node for record in tree(refused).records for node in nodes(record.node)}
    assert found["error_code"].meaning == "CRYPTO_ERROR, no_application_protocol"


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


TALK = ROOT / "samples" / "talk"


def judged(name: str) -> Connection:
    """A connection whose client shows a certificate, with its findings by keys."""
    path = TALK / f"httpd-8889-{name}.pcap"
    (connection,) = tlsdissect.read(path, keylog=path.with_suffix(".keys"), findings=True)
    return connection


def test_findings_say_that_they_rest_on_what_only_keys_show() -> None:
    seen, opened = judged("tls12"), judged("tls13")
    assert not any(one.with_keys for one in seen.findings or ())
    assert {one.code for one in opened.findings or () if one.certificate} == {
        one.code for one in opened.findings or () if one.with_keys
    }
    assert {one.code for one in opened.findings or () if not one.with_keys} == {"sni_in_clear"}
    assert msgspec.to_builtins(opened)["findings"][0].keys() >= {"with_keys"}
    columns = next(table for table in TABLES if table.name == "findings")
    place = [column.name for column in columns.columns].index("with_keys")
    assert {row[place] for row in columns.rows(opened)} == {True, False}


def test_every_view_marks_findings_of_what_only_keys_show() -> None:
    seen, opened = judged("tls12"), judged("tls13")
    assert "*" not in (findings(seen)[0] or "")
    cells = (findings(opened)[0] or "").split(", ")
    assert "long_lifetime*" in cells
    assert "sni_in_clear" in cells
    assert "long_lifetime (with keys)" in card(opened)
    assert "sni_in_clear (with keys)" not in card(opened)
    details = {code: detail for _, code, detail, _ in connection_details(opened, [])["findings"]}
    assert details["long_lifetime"].endswith(" (with keys)")
    assert not details["sni_in_clear"].endswith(" (with keys)")


def test_a_finding_that_anyone_sees_somewhere_needs_no_keys() -> None:
    opened = judged("tls13")
    shown = replace(opened, findings=tuple([replace(one, with_keys=False) for one in opened.findings or ()]))
    for connections, told, sentence in (
        ([opened], True, "Only keys show it."),
        ([opened, shown], False, "Only keys show it in 1 connection."),
        ([shown], False, ""),
    ):
        by_server, by_rule = Results(), Findings()
        for connection in connections:
            by_server.add(connection)
            by_rule.add(connection)
        written = b"".join(sarif.document(by_server.groups()))
        results = {one["ruleId"]: one for one in msgspec.json.decode(written)["runs"][0]["results"]}
        assert results["long_lifetime"]["properties"].get("with_keys", False) is told
        assert results["long_lifetime"]["message"]["text"].endswith(" (with keys)") is told
        assert (b"(with keys)" in b"".join(junit.document(by_server.groups(), ["high"]))) is told
        assert "with_keys" not in results["sni_in_clear"]["properties"]
        assert {one.rule.code: one.needs_keys for one in by_rule.by_rule([])}["long_lifetime"] == sentence


def test_certificates_say_which_findings_only_keys_show() -> None:
    """A certificate that anyone sees may share its serial number with one that only keys show."""
    path = TALK / "httpd-8889-tls13.pcap"
    for one in tlsdissect.certs(path, keylog=path.with_suffix(".keys")):
        assert one.with_keys
        assert all(found.with_keys for found in one.findings)
    seen = [TALK / "httpd-8889-tls12.pcap", path]
    for one in tlsdissect.certs(*seen, keylog=path.with_suffix(".keys")):
        assert not one.with_keys
        assert not any(found.with_keys for found in one.findings)
    assert finding("early_data", "").with_keys is False


def test_a_diff_marks_what_only_keys_show() -> None:
    (opened,) = read("tls13-client-cert", keys=True)
    assert opened.hidden is not None
    (leaf, *rest) = opened.hidden.certificates or ()
    other = replace(
        opened,
        hidden=replace(opened.hidden, alpn="h3", certificates=(replace(leaf, sha256="0" * 64), *rest)),
    )
    both = DiffBuilder()
    both.add_before(opened)
    both.add_after(other)
    found = both.result(Given((), 1, ()), Given((), 1, ()))
    (server,) = found.servers
    assert [(one.fact, one.with_keys) for one in server.facts] == [("alpn", True)]
    assert server.certificates is not None
    assert [one.with_keys for one in (*server.certificates.gone, *server.certificates.new)] == [True, True]
    assert server.certificates.differs == ()
    text = " ".join(str(found).split())
    assert "ALPN, with keys: " in text
    assert text.count(", with keys ") >= 2


def test_keys_of_one_side_of_a_diff_are_no_other_failure() -> None:
    """An alert that keys name in one capture, and that is encrypted in the other, may be the same."""
    (seen,), (opened,) = (read("tls13-client-cert-rejected", keys=keys) for keys in (False, True))
    other = replace(opened, hidden=replace(opened.hidden, alerts=(replace(opened.hidden.alerts[0], description="x"),)))
    for before, after, differ in ((seen, opened, False), (opened, seen, False), (opened, other, True)):
        both = DiffBuilder()
        both.add_before(before)
        both.add_after(after)
        assert bool(both.result(Given((), 1, ()), Given((), 1, ())).fails_differently) is differ


def test_a_diff_counts_secrets_that_opened_nothing_on_either_side(tmp_path: Path) -> None:
    names = ("tls13-full", "tls13-client-cert")
    captures = [ROOT / "samples" / f"{name}.pcap" for name in names]
    keys = tmp_path / "both.keys"
    keys.write_text("".join(path.with_suffix(".keys").read_text() for path in captures))
    found = tlsdissect.diff(*captures, keylog=keys)
    assert (found.before.notes, found.after.notes) == ((), ())
    keys.write_text(keys.read_text() + f"CLIENT_RANDOM {'07' * 32} {'08' * 48}\n")
    found = tlsdissect.diff(*captures, keylog=keys)
    assert {*found.before.notes, *found.after.notes} == {"secrets of 1 connection opened nothing"}


def test_comparisons_say_in_short_what_keys_show() -> None:
    for keys in (False, True):
        text = b"".join(Text().written(compared(read("tls13-client-cert", keys=keys)))).decode()
        assert ("seen with keys besides\n" in text) is keys
        both = [*read("tls13-client-cert", keys=keys), *read("tls12-full", keys=False)]
        text = " ".join(b"".join(Text().written(compared(both))).decode().split())
        said = "certificates in the clear: 1 of 1 with TLS 1.2, 0 of 1 with TLS 1.3"
        assert f"{said}{'; seen with keys besides: 1 with TLS 1.3' if keys else ''}" in text
        assert ("with keys" in text) is keys


def test_summaries_mark_certificates_that_end_soon() -> None:
    (opened,) = read("tls13-client-cert", keys=True)
    (leaf, *rest) = opened.hidden.certificates
    soon = replace(leaf, not_after=opened.start[:19] + "Z")
    hidden = replace(opened, hidden=replace(opened.hidden, certificates=(soon, *rest)))
    seen = replace(opened, certificates=(soon, *rest))
    for connections, marked in (([hidden], True), ([hidden, seen], False), ([seen, hidden], False)):
        builder = SummaryBuilder()
        for connection in connections:
            builder.add(connection)
        found = builder.summary(len(connections), Counter(), [], selected=False)
        assert [one.with_keys for one in found.ending] == [marked]
        assert ("localhost* " in str(found)) is marked


def test_cards_and_details_say_what_keys_show_of_alerts_and_early_data() -> None:
    (refused,) = read("tls13-client-cert-rejected", keys=True)
    assert "<dt>alerts, with keys</dt><dd>unknown_ca by server</dd>" in card(refused)
    assert "alerts, with keys" not in card(read("tls13-client-cert-rejected", keys=False)[0])
    for keys in (False, True):
        resumed = read("quic/quic-early-data", keys=keys)[1]
        facts = dict(connection_details(resumed, [])["facts"])
        assert ("early data accepted (with keys)" in facts["resumption"]) is keys
        assert ("early data: accepted (with keys)" in card(resumed)) is keys


def test_round_trips_and_early_data_that_only_keys_show_are_marked_and_counted() -> None:
    for keys in (False, True):
        full, resumed = read("quic/quic-early-data", keys=keys)
        assert table.round_trips(full) == ("1",)
        assert table.round_trips(resumed) == (("0*",) if keys else (None,))
        groups = compared([full, resumed])
        [side] = groups[0].sides
        assert side.keyed.early_data == ({"accepted": 1} if keys else {})
        assert side.keyed.round_trips == ({"0": 1} if keys else {})
        text = b"".join(Text(whole=True).written(groups)).decode()
        assert ("accepted: 1" in text) == keys


def test_a_client_whose_encrypted_hello_was_rejected_refused_the_handshake() -> None:
    for keys in (False, True):
        *accepted, rejected, _ = read("ech/ech-nss", keys=keys)
        assert [keyed_end(one) for one in accepted] == [None] * len(accepted)
        assert rejected.outcome == "established"
        found = explain(rejected).verdict
        assert found.result == ("failed" if keys else "established")
        assert ("ech_required, as keys show" in found.text) == keys
        assert table.outcome(rejected) == (("alert ech_required* by client",) if keys else ("established",))
