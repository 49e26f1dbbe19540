"""Ladders: every message on an arrow, in the order of time, within the width, and harmless."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from made import made
from mangle import cut, duplicated, in_ethernet, pcap, pieces, segments
from matplotlib.patches import FancyArrowPatch
from msgspec.structs import replace
from recorded import ROOT, SAMPLES, SHARED, kept

import tlsdissect
from tlsdissect.model.connection import Endpoint
from tlsdissect.views.durations import in_ms, short_ms
from tlsdissect.views.ladder import axis
from tlsdissect.views.ladder.model import drawn, tenths
from tlsdissect.views.ladder.plot import figure, picture
from tlsdissect.views.ladder.scale import Scale
from tlsdissect.views.ladder.text import Text
from tlsdissect.views.printable import columns

if TYPE_CHECKING:
    from pathlib import Path

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.ladder.model import Arrow, Ladder

OTHERS = [path for path in sorted((SHARED / "captures").glob("*/*")) if path.suffix in (".pcap", ".pcapng", ".cap")]
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)


def ladders(path: Path) -> list[Ladder]:
    return [drawn(connection) for connection in kept(path)]


def one(name: str, number: int = 0) -> Connection:
    return kept(ROOT / f"samples/{name}.pcap")[number]


def paths() -> tuple[Connection, Connection]:
    """A full handshake of TLS 1.2 and one of TLS 1.3, over the same path of 160 ms."""
    found = tlsdissect.read(ROOT / "samples/paths-client.pcap.gz", keep=True, stream=[0, 1])
    one, other = sorted(found, key=lambda connection: connection.stream)
    return one, other


def is_refusal(arrow: Arrow) -> bool:
    return "an alert's size" in arrow.labels[0]


def shown(connection: Connection, width: int | None = None, **options: object) -> list[str]:
    return Text(width, **options).row(connection).decode().splitlines()


@each_sample
def test_every_message_is_on_an_arrow(sample: Path) -> None:
    for connection in kept(sample):
        arrows = [arrow for arrow in drawn(connection).arrows if arrow.kind in ("clear", "encrypted")]
        told = " ".join(label for arrow in arrows for label in arrow.labels)
        for message in connection.messages:
            if message.type not in ("encrypted", "alert"):
                assert f"{message.type} {message.bytes}" in told
        frames = {arrow.frames[-1] for arrow in arrows if not is_refusal(arrow)}
        assert {message.frame for message in connection.messages} >= frames
        assert {arrow.sender for arrow in arrows} == {message.sender for message in connection.messages}


@each_sample
def test_arrows_are_in_the_order_of_time(sample: Path) -> None:
    for whole in ladders(sample):
        times = [arrow.ms for arrow in whole.arrows]
        assert times == sorted(times)
        assert [arrow.labels for arrow in whole.arrows[:3] if arrow.kind == "tcp"] == [
            ("SYN",),
            ("SYN, ACK",),
            ("ACK",),
        ]
        for arrow in whole.arrows:
            # On a loopback TCP's round trip depends on the computer alone: no time is given in round trips.
            assert (arrow.round_trips, whole.timing.path_ms) == (None, None)


@each_sample
def test_flights_have_the_bytes_of_the_handshake(sample: Path) -> None:
    """Up to the end of the handshake, arrows hold what `handshake_bytes` counts, early data left out."""
    for connection in kept(sample):
        if not connection.complete or connection.early_data != "none" or connection.renegotiations:
            continue
        for side in ("client", "server"):
            counted = getattr(connection.handshake_bytes, side)
            alerts = {alert.frame for alert in connection.alerts}
            flights = [a for a in drawn(connection).arrows if a.sender == side and a.kind in ("clear", "encrypted")]
            assert sum(a.bytes for a in flights if a.frames[-1] not in alerts) == counted


def test_times_in_a_title_continue_on_the_next_line_of_a_narrow_terminal() -> None:
    [connection] = kept(ROOT / "samples/tls12-full.pcap")
    assert shown(connection, 60)[1:3] == [
        "established, 2 round trips; handshake: 3.35 ms; TCP's round",
        "  trip: 0.036 ms",
    ]


@each_sample
@pytest.mark.parametrize("width", [60, 80, 200])
def test_lines_fit_the_terminal(sample: Path, width: int) -> None:
    for connection in kept(sample):
        assert max(columns(line) for line in shown(connection, width)) <= width
        beside = Text(width).beside(connection, connection).decode().splitlines()
        assert max(columns(line) for line in beside) <= width


def test_times_of_a_ladder_have_the_same_decimals() -> None:
    """Those of a path of 160 ms none, those on a loopback two; those of messages in a picture likewise."""
    found = paths()
    lines = Text(120).beside(*found).decode().splitlines()
    times = [line[:4].strip() for line in lines if re.match(r" *-?[\d.]+  ", line)]
    assert {"-161", "-1", "0", "162", "327"} <= set(times)
    assert not any("." in time or time == "-0" for time in times)
    words = picture([drawn(one) for one in found], "svg").decode()
    assert "ACK · 0 ms" in words
    assert not re.search(r"\d\.\d+ ms", words)
    loopback = shown(one("tls12-unknown-ca"), 80)
    assert {len(line[:5].strip().partition(".")[2]) for line in loopback[3:] if line[:5].strip() not in ("", "0")} == {
        2
    }


def test_a_terminal_says_near_which_end_times_were_captured() -> None:
    one, other = paths()
    assert shown(one)[-1] == "times as captured near the client; the server is about 80 ms away"
    assert Text(120).beside(one, other).decode().splitlines()[-1] == shown(one)[-1]
    far = tlsdissect.read(ROOT / "samples/paths-server.pcap.gz", keep=True, stream=[0])
    [server] = far
    assert Text(120).beside(server, other).decode().splitlines()[-1] == (
        "times as captured, near the server at the left and near the client at the right"
    )
    assert not any("as captured" in line for line in shown(kept(ROOT / "samples/tls12-full.pcap")[0]))


def test_a_ladder_in_full() -> None:
    assert shown(one("tls12-unknown-ca"), 80)[1:] == [
        "alert unknown_ca by client; TCP's round trip: 0.035 ms",
        "   ms  [::1]:39982                                     [::1]:8443  bytes  frames",
        "-0.20  │ SYN ──────────────────────────────────────────────────▶│         1",
        "-0.18  │◀───────────────────────────────────────────── SYN, ACK │         2",
        "-0.16  │ ACK ──────────────────────────────────────────────────▶│         3",
        "       │                                                        │",
        "    0  │ client_hello 145 ─────────────────────────────────────▶│    154  4",
        "       │                                                        │",
        "       │                                                        │",
        "       │                                                        │",
        "       │                                                        │",
        "       │                                                        │",
        "       │                     server_hello 61, certificate 2088, │",
        " 1.31  │◀───────── server_key_exchange 296, server_hello_done 0 │   2481  6",
        "       │                                                        │",
        "       │                                                        │",
        "       │                                                        │",
        "       │                                                        │",
        "       │                                                        │",
        " 2.52  │ alert unknown_ca ─────────────────────────────────────▶│      7  8",
        " 2.60  │ FIN ──────────────────────────────────────────────────▶│         9",
        " 2.68  │◀────────────────────────────────────────────────── FIN │         10",
    ]


def test_a_terminal_without_unicode_gets_ascii() -> None:
    lines = Text(80, encoding="ascii").row(one("tls13-full")).decode("ascii")
    assert "| SYN -" in lines
    assert "~" in lines or "=" in lines
    assert "?" not in lines.replace("?id", "")


def test_encrypted_flights_and_application_data_are_drawn_as_such() -> None:
    kinds = {arrow.labels: arrow.kind for arrow in drawn(one("tls13-hello-retry")).arrows}
    assert kinds["encrypted 53",] == "encrypted"
    assert kinds["application data, or tickets",] == "data"
    assert kinds["hello_retry_request 84", "change_cipher_spec 1"] == "clear"
    flight = next(arrow for arrow in drawn(one("tls13-hello-retry")).arrows if "encrypted 23" in str(arrow.labels))
    assert [(kind, len(labels)) for kind, labels in flight.parts()] == [("clear", 1), ("encrypted", 1)]
    lines = shown(one("tls13-hello-retry"), 120)
    assert any("server_hello" in line and "encrypted" not in line for line in lines)
    assert any("◀╌╌" in line and "encrypted 23 + " in line for line in lines)


@each_sample
def test_application_data_begins_when_the_times_say(sample: Path) -> None:
    for connection in kept(sample):
        timing = connection.timing
        told = {arrow.sender: arrow.ms for arrow in drawn(connection).arrows if arrow.kind == "data"}
        behind = timing.server_record_ms if timing.server_data_ms is None else timing.server_data_ms
        assert (told.get("client"), told.get("server")) == (timing.client_data_ms, behind)


def test_what_a_server_refused_by_is_drawn_and_named() -> None:
    """The capture's frame 9 is the server's answer to the client's flight in frame 8: a record of 19 bytes."""
    refused = one("talk/httpd-8889-missing-tls13")
    [arrow] = [arrow for arrow in drawn(refused).arrows if is_refusal(arrow)]
    assert (arrow.sender, arrow.kind, arrow.frames, arrow.bytes) == ("server", "encrypted", (9,), 24)
    assert arrow.labels == ("encrypted 19, an alert's size",)
    [sentence] = [one for one in tlsdissect.explain(refused).sentences if one.code == "refused"]
    assert (sentence.frames, sentence.guess) == ((9,), True)


def test_a_place_without_room_keeps_its_end() -> None:
    assert re.search(r"_GCM_SHA384  ….+/tls12-full\.pcap$", shown(one("tls12-full"), 80)[0])
    assert shown(one("tls12-full"), 60)[0].endswith("…  …ls12-full.pcap")


def test_a_second_change_of_keys_is_encrypted() -> None:
    labels = [label for arrow in drawn(one("tls12-renegotiation")).arrows for label in arrow.labels]
    assert [label for label in labels if "change_cipher" in label] == [
        *["change_cipher_spec 1"] * 2,
        *["encrypted change_cipher_spec 25"] * 2,
    ]


def test_two_connections_share_an_axis_of_time() -> None:
    lines = Text(120).beside(one("tls12-full"), one("tls13-full")).decode().splitlines()
    times = [float(line[:6]) for line in lines[5:] if line[:6].strip()]
    assert len(times) > 10
    assert times == sorted(times)
    assert sum("client_hello" in line for line in lines) == 2
    assert [line[:5] for line in lines if "client_hello" in line] == ["    0", "    0"]


def test_two_connections_tell_their_own_round_trips() -> None:
    for width, told in ((80, ["1.0", "0"]), (120, ["1.0", "0", "680"])):
        lines = Text(width).beside(*paths()).decode().splitlines()
        [line] = [line for line in lines if "server_hello_done" in line]
        assert re.findall(r"(?<= )[0-9.]+(?= |$)", line.replace("│", " "))[1:] == told


@pytest.mark.parametrize("width", [60, 80, 120])
def test_endpoints_without_room_beside_each_other_stand_below_each_other(width: int) -> None:
    ends = {
        "client": Endpoint("2001:db8:1234:5678:9abc:def0:1234:5678", 43923),
        "server": Endpoint("2001:db8:1234:5678:9abc:def0:1234:8765", 8442),
    }
    short = drawn(one("tls12-full"))
    long = replace(short, **ends)
    for lines in (list(Text(width).lines(long)), list(Text(width).lines(short, long))):
        assert max(map(columns, lines)) <= width
        # Where no line has room for an address, its port is kept.
        assert all(any(f":{end.port}" in line for line in lines) for end in ends.values())
    if width >= 80:
        assert all(any(str(end) in line for line in Text(width).lines(long)) for end in ends.values())


def test_a_picture_says_first_what_took_how_long() -> None:
    """To scale, with what TLS 1.3 saves at the top: the figures are those of the connections."""
    pair = [drawn(connection) for connection in paths()]
    times = [f"{connection.timing.handshake_ms:.0f} ms" for connection in paths()]
    assert times == ["327 ms", "164 ms"]
    texts = figure(pair).axes[0].texts
    largest = max(text.get_fontsize() for text in texts)
    assert [text.get_text() for text in texts if text.get_fontsize() == largest] == times
    words = {text.get_text(): text.get_position()[1] for text in texts}
    assert {"TLS 1.2", "TLS 1.3", "1 round trip", "2 round trips", "handshake complete"} <= set(words)
    ticks = {int(name): y for name, y in words.items() if re.fullmatch("-?[0-9]00|0", name)}
    assert len(ticks) > 5
    step = (ticks[600] - ticks[0]) / 6
    assert [ticks[ms] for ms in sorted(ticks)] == pytest.approx([ticks[0] + step * ms / 100 for ms in sorted(ticks)])


def test_arrows_are_slanted_by_half_a_round_trip() -> None:
    for connection in paths():
        ladder, axes = drawn(connection), figure([drawn(connection)]).axes[0]
        scale = {text.get_text(): text.get_position()[1] for text in axes.texts}
        heights = {round(_height(patch), 6) for patch in axes.patches if isinstance(patch, FancyArrowPatch)}
        parts = {len(list(arrow.parts())) for arrow in ladder.arrows}
        inches = (scale["300"] - scale["0"]) / 300
        assert heights == {round(connection.timing.tcp_ms / 2 * inches / count, 6) for count in parts}


def _height(arrow: FancyArrowPatch) -> float:
    (_, begin), (_, end) = arrow._posA_posB
    return abs(end - begin)


def test_a_long_pause_is_cut_and_told() -> None:
    (_, early) = kept(ROOT / "samples/tls13-early-data.pcap")
    assert any("~ 969 ms later ~" in line for line in shown(early, 80))
    assert "969 ms later" in [text.get_text() for text in figure([drawn(early)]).axes[0].texts]


def test_waits_for_a_path_are_no_pauses() -> None:
    moments = [0.0, 0.1, 160.0, 160.2, 320.0, 321.0]
    assert Scale(moments, 160.0).pauses == []
    assert Scale(moments, None).pauses == []
    late = Scale([*moments, 9321.0], 160.0)
    assert [pause.words for pause in late.pauses] == ["9,000 ms later"]
    assert late.length < 400
    places = [late.at(ms) for ms in [*moments, 5000.0, 9321.0]]
    assert places == sorted(places)
    assert places[:6] == moments
    alone = Scale([0.0, 9000.0], None)
    assert (alone.pauses, alone.length) == ([], 9000.0)


def test_a_failure_is_red_and_names_who_caused_it() -> None:
    refused = one("tls12-unknown-ca")
    (culprit,) = [arrow for arrow in drawn(refused).arrows if arrow.failed]
    assert (culprit.sender, culprit.labels) == ("client", ("alert unknown_ca",))
    red = [line for line in shown(refused, 80, coloured=True) if "\x1b[1;31m" in line]
    assert len(red) == 2
    assert "alert unknown_ca by client" in red[0]
    assert "alert unknown_ca ──" in red[1]
    texts = {text.get_text(): text.get_color() for text in figure([drawn(refused)]).axes[0].texts}
    told = [name for name, colour in texts.items() if colour == texts["alert unknown_ca by client"]]
    assert [name.partition(" ·")[0] for name in told] == ["alert unknown_ca by client", "alert unknown_ca"]
    assert not any(arrow.failed for arrow in drawn(one("tls12-full")).arrows)
    (culprit,) = [arrow for arrow in drawn(one("talk/httpd-8889-missing-tls13")).arrows if arrow.failed]
    assert is_refusal(culprit)


def test_a_picture_names_the_whole_reason_of_a_failure() -> None:
    failures = kept(ROOT / "samples/network/network-failures.pcap")
    [refused] = [drawn(connection) for connection in failures if connection.stream == 8]
    worst = replace(refused, outcome="alert certificate_unobtainable_for_now by server")
    made = figure([refused, worst])
    made.canvas.draw()
    for one_of_both, left, right in ((refused, 0.5, 4.75), (worst, 4.75, 9.0)):
        [text] = [text for text in made.axes[0].texts if text.get_text() == one_of_both.outcome]
        box = text.get_window_extent().transformed(made.dpi_scale_trans.inverted())
        assert left <= box.x0 < box.x1 <= right


def test_on_a_loopback_no_end_and_no_round_trip_is_drawn() -> None:
    """TCP's round trip of microseconds says nothing about where it was captured."""
    failures = kept(ROOT / "samples/network/network-failures.pcap")
    assert {axis.Axis([axis.Course(drawn(one))]).origin for one in failures} == {
        "Times since the ClientHello, as captured."
    }
    bands = list(axis.Course(drawn(one("tls12-full"))).bands())
    assert [band.name for band in bands] == ["TCP"]
    path = [band.name for connection in paths() for band in axis.Course(drawn(connection)).bands()]
    assert path == ["TCP", "1st round trip", "2nd round trip", "TCP", "1st round trip"]


def test_every_band_has_a_name() -> None:
    bands = [band for one in ladders(ROOT / "samples/paths-client.pcap.gz") for band in axis.Course(one).bands()]
    assert all(band.name for band in bands)
    assert "handshake" in {band.name for band in bands}


@pytest.mark.parametrize(("share", "words"), [(0.95, "near the client"), (0.05, "near the server"), (0.5, None)])
def test_a_capture_is_near_a_side_as_far_as_explain_says_so(share: float, words: str | None) -> None:
    (connection, _) = paths()
    timing = replace(connection.timing, tcp_ms=100.0, syn_synack_ms=100.0 * share, synack_ack_ms=100.0 * (1 - share))
    moved = replace(connection, timing=timing)
    said = axis.Axis([axis.Course(drawn(moved))]).origin
    explained = " ".join(sentence.text for sentence in tlsdissect.explain(moved).sentences)
    assert ("captured near" in said) == ("captured near" in explained) == (words is not None)
    assert words is None or (f"captured {words}" in said and f"captured {words}" in explained)


@each_sample
def test_each_failure_of_one_side_has_its_arrow(sample: Path) -> None:
    for connection in kept(sample):
        failed = [arrow.sender for arrow in drawn(connection).arrows if arrow.failed]
        assert failed == ([] if connection.failed_by is None else [connection.failed_by])


def test_times_have_three_digits() -> None:
    times = (-0.0001, 0.035, 0.9996, 9.996, 99.96, 160.63, 1465.2)
    assert [short_ms(ms) for ms in times] == ["0", "0.035", "1.00", "10.0", "100", "161", "1,465"]
    assert [in_ms(ms) for ms in (9999.0, 10_000.0)] == ["9,999 ms", "10.0 s"]


def test_a_picture_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(axis, "MAX_ARROWS", 4)
    texts = [text.get_text() for text in figure([drawn(one("tls12-full"))]).axes[0].texts]
    assert any("more arrows are not drawn" in text for text in texts)
    assert "SYN, ACK" in " ".join(texts)
    assert "server_hello_done" not in " ".join(texts)


def test_a_moment_before_the_hello_is_no_round_trip() -> None:
    assert [tenths(count) for count in (-0.04, -0.06, 0.0, 1.04)] == ["0.0", "-0.1", "0.0", "1.0"]


def test_what_was_sent_again_is_told(tmp_path: Path) -> None:
    path = tmp_path / "again.pcap"
    sent = duplicated(segments(ROOT / "samples/tls12-full.pcap"))
    path.write_bytes(pcap([(200_000 * at, frame) for at, one in enumerate(sent) for frame in in_ethernet(one)], 1))
    [whole] = ladders(path)
    again = [arrow for arrow in whole.arrows if arrow.kind == "again"]
    assert again
    assert all("sent again" in arrow.labels[0] for arrow in again)
    assert [a.labels for a in whole.arrows if a.kind == "clear"] == [
        a.labels for a in drawn(one("tls12-full")).arrows if a.kind == "clear"
    ]


def test_messages_before_a_loss_keep_their_time(tmp_path: Path) -> None:
    """Of the server's flight, a segment amid the certificate comes 300 ms late, and the last one 500 ms late."""
    path = tmp_path / "late.pcap"
    sent = segments(ROOT / "samples/tls12-full.pcap")
    at = next(number for number, one in enumerate(sent) if len(one.payload) > 2000)
    first, lost, *rest = pieces(sent[at], 300)
    delays = [0] * (at + 1 + len(rest[:-1])) + [300_000] + [500_000] * (1 + len(sent[at + 1 :]))
    moved = zip([*sent[:at], first, *rest[:-1], lost, rest[-1], *sent[at + 1 :]], delays, strict=True)
    path.write_bytes(pcap([(one.time + delay, frame) for one, delay in moved for frame in in_ethernet(one)], 1))
    [connection] = kept(path)
    flight = [
        (arrow.labels, round(arrow.ms or 0, -2), arrow.kind)
        for arrow in drawn(connection).arrows
        if arrow.sender == "server" and arrow.kind in ("clear", "again")
    ]
    assert flight[1][0] == ("300 bytes late: lost and sent again, or overtaken",)
    assert [(ms, kind) for _, ms, kind in flight[:4]] == [(0, "clear"), (300, "again"), (300, "clear"), (500, "clear")]
    told = [[label.partition(" ")[0] for label in labels] for labels, _, kind in flight if kind == "clear"]
    assert told[:3] == [["server_hello"], ["certificate"], ["server_key_exchange", "server_hello_done"]]


def test_a_flight_over_many_segments_names_its_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    sent = cut(segments(ROOT / "samples/tls12-full.pcap"))
    path.write_bytes(pcap([(at, frame) for at, segment in enumerate(sent) for frame in in_ethernet(segment)], 1))
    [whole] = ladders(path)
    flight = next(arrow for arrow in whole.arrows if any("certificate" in label for label in arrow.labels))
    assert flight.frames[1] - flight.frames[0] > 5


@pytest.mark.skipif(not OTHERS, reason=f"no captures under {SHARED}: those of other projects are not part of this one")
def test_captures_of_other_projects() -> None:
    count = 0
    for path in OTHERS:
        for connection in kept(path):
            assert max(columns(line) for line in shown(connection, 80)) <= 80
            count += 1
    assert count > 300


@pytest.mark.parametrize("dark", [False, True])
def test_pictures_do_not_depend_on_when_they_are_drawn(dark: bool) -> None:
    both = [drawn(one("tls12-full")), drawn(one("tls13-full"))]
    for form, start in (("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")):
        drawing = picture(both, form, dark=dark)
        assert drawing.startswith(start)
        assert drawing == picture(both, form, dark=dark)


@each_sample
def test_no_words_of_a_picture_cover_others(sample: Path) -> None:
    for whole in ladders(sample):
        made = figure([whole, whole])
        made.canvas.draw()
        boxes = [text.get_window_extent() for text in made.axes[0].texts if text.get_text()]
        inside = made.bbox
        for number, box in enumerate(boxes):
            assert inside.x0 <= box.x0
            assert box.x1 <= inside.x1
            assert inside.y0 <= box.y0
            assert box.y1 <= inside.y1
            assert not any(box.overlaps(other) for other in boxes[number + 1 :])


def test_hostile_names_stay_words(tmp_path: Path) -> None:
    path = tmp_path / "<script>$x_1$\x1b[2J\u202e.pcap"
    path.write_bytes((ROOT / "samples/tls13-full.pcap").read_bytes())
    [whole] = ladders(path)
    root = ET.fromstring(picture([whole], "svg"))  # noqa: S314  # our own
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    [connection] = kept(path)
    assert "\x1b" not in "".join(shown(connection, 100))
    assert "\u202e" not in "".join(shown(connection, 100))


def test_python_prints_draws_and_saves(tmp_path: Path) -> None:
    drawing = tlsdissect.ladder(one("tls12-full"), one("tls13-full"))
    assert "client_hello 137" in str(drawing)
    said, _, data = drawing._repr_html_().partition("base64,")
    assert said.startswith('<img style="max-width: 100%; height: auto" alt="Ladder of [::1]:')
    assert b64decode(data.rstrip('">')).startswith(b"<?xml")
    drawing.save(tmp_path / "both.png")
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="the suffix must be one of"):
        drawing.save(tmp_path / "both.gif")
    with pytest.raises(ValueError, match="keep=True"):
        tlsdissect.ladder(made())


def test_a_colour_changes_no_word() -> None:
    coloured = "\n".join(shown(one("tls12-full"), 80, coloured=True))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == "\n".join(shown(one("tls12-full"), 80))
