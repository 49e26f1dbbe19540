"""The report's page, in a real browser: its tables, and what they open."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest
from recorded import ROOT, SAMPLES
from visiting import Visit, report

import tlsdissect
from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.handshake.key_logs import KeyLog
from tlsdissect.pipeline import Reading
from tlsdissect.trust.anchors import certificates
from tlsdissect.trust.judge import Judge
from tlsdissect.trust.verdicts import Settings
from tlsdissect.views.comparison.formats import sections
from tlsdissect.views.ladder.axis import Axis, Course
from tlsdissect.views.ladder.model import OTHER
from tlsdissect.views.summary import weaknesses
from tlsdissect.views.table import outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.ladder.model import Arrow
    from tlsdissect.views.tree.model import Node


def test_everything_is_in_the_table(visit: Visit, captures: list[Path]) -> None:
    total = len(list(tlsdissect.read(*captures)))
    assert visit.count() == f"{total} of {total} connections"
    assert visit.rows().count() < total  # rows are drawn where they are seen
    visit.page.locator("#connections-scroll").evaluate("one => { one.scrollTop = one.scrollHeight; }")
    visit.page.wait_for_selector(f"#connections-body [aria-rowindex='{total + 1}']")
    assert visit.page.locator("#connections-grid").get_attribute("aria-rowcount") == str(total + 1)


def test_the_tables_can_be_used_before_the_details_have_arrived(browser: Browser, written: Path) -> None:
    page, goes_on = written.read_bytes(), Event()
    cut = page.index(b'id="connections-details-0">') + 1000

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page[:cut])
            goes_on.wait(60)
            self.wfile.write(page[cut:])

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server, closing(browser.new_context()) as context:
        Thread(target=server.serve_forever, daemon=True).start()
        visited = context.new_page()
        visited.goto(f"http://127.0.0.1:{server.server_port}/", wait_until="commit")
        visited.wait_for_selector("html[data-ready]", timeout=60_000)
        visited.click("#connections-body tr[tabindex] td:nth-child(2)")
        assert visited.evaluate("document.readyState") == "loading"
        assert visited.locator("#connections-detail").is_hidden()
        goes_on.set()
        visited.wait_for_selector("#connections-detail .tree", timeout=60_000)
        server.shutdown()


def test_numbers_sort_as_numbers_and_what_is_empty_comes_last(visit: Visit) -> None:
    head = visit.head("ms")
    visit.search("8443")
    before = visit.cells("ms")
    for order, down in (("ascending", False), ("descending", True)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order
        cells = visit.cells("ms")
        times = [float(cell) for cell in cells if cell != "-"]
        assert len(times) > 10
        assert times == sorted(times, reverse=down)
        assert set(cells[len(times) :]) == {"-"}
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "none"
    assert visit.cells("ms") == before


def test_text_sorts_by_keyboard(visit: Visit) -> None:
    visit.head("outcome").locator("button").focus()
    visit.page.keyboard.press("Enter")
    assert visit.cells("outcome") == sorted(visit.cells("outcome"))
    assert visit.cells("outcome")[0].startswith("alert")


def test_words_and_values_select(visit: Visit) -> None:
    visit.search("PSK  paths-client")
    assert set(visit.cells("resumed")) == {"psk"}
    visit.search("static_rsa")
    visit.cell("TLS", 0).locator(".value").click()
    visit.search("")
    assert set(visit.cells("TLS")) == {"1.2"}
    many = visit.count()
    visit.search("static_rsa")
    visit.cell("findings", 0).locator(".value", has_text="static_rsa").click()
    visit.search("")
    assert visit.count().startswith("1 of ")
    assert visit.filters() == ["TLS: 1.2", "findings: static_rsa"]
    visit.page.get_by_role("button", name="Remove the filter findings: static_rsa").click()
    assert (visit.filters(), visit.count()) == (["TLS: 1.2"], many)
    visit.search("nothing is like this")
    assert visit.page.get_by_text("No matching connection.").is_visible()
    visit.page.get_by_role("button", name="Show all").click()
    assert visit.filters() == []
    assert visit.page.input_value("#connections-words") == ""
    assert len(set(visit.cells("TLS"))) > 1


def test_the_keyboard_filters_by_a_value_and_removes_it(visit: Visit) -> None:
    visit.search("static_rsa")
    visit.rows().first.focus()
    reached = []
    for _ in range(3):
        visit.page.keyboard.press("ArrowRight")
        reached.append(visit.page.evaluate("document.activeElement.textContent"))
    assert reached == [visit.cell(title, 0).inner_text() for title in ("source", "client", "server")]
    for _ in range(3):
        visit.page.keyboard.press("ArrowLeft")
    assert visit.page.evaluate("document.activeElement.tagName") == "TR"
    visit.page.keyboard.press("ArrowRight")
    visit.page.keyboard.press("Enter")
    assert visit.filters() == [f"source: {reached[0]}"]
    assert visit.page.locator("#connections-detail").is_hidden()
    visit.page.keyboard.press("Enter")
    assert visit.filters() == []
    assert visit.page.evaluate("document.activeElement.id") == "connections-words"


def test_a_finding_shows_where_it_was_found(visit: Visit) -> None:
    visit.page.get_by_text("of severity low or info").click()
    visit.page.get_by_role("button", name="Show the connections with client_certificate_in_clear").click()
    assert {"client_certificate_in_clear" in cell for cell in visit.cells("findings")} == {True}
    assert visit.page.evaluate("document.activeElement.id") == "connections-words"
    visit.page.get_by_role("button", name="Show the certificates with self_signed").last.click()
    assert visit.cells("certificate", "certificates") == ["server.test"]


def test_findings_that_only_keys_show_are_marked_and_found_with_the_rest(browser: Browser, tmp_path: Path) -> None:
    folder, page = ROOT / "samples" / "talk", tmp_path / "page.html"
    captures = [folder / f"httpd-8889-tls1{minor}.pcap" for minor in (2, 3)]
    page.write_bytes(report(*captures, keylog=KeyLog([captures[1].with_suffix(".keys")])))
    with Visit(browser, page) as visit:
        rows = visit.page.locator("table.findings tr", has_text="long_lifetime")
        assert "Only keys show it in 1 connection." in (rows.first.text_content() or "")
        visit.page.get_by_role("button", name="Show the connections with long_lifetime").click()
        cells = visit.cells("findings")
        assert len(cells) == 2
        assert ["long_lifetime*" in cell for cell in cells] == [False, True]


def test_a_connection_opens_on_a_click(visit: Visit) -> None:
    detail = visit.open_first("tls12-full")
    assert detail.locator("h3").inner_text().startswith("Stream 0 of ")
    assert detail.locator("dd", has_text="TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384").count() == 1
    assert detail.get_by_text("The client waited 2 round trips").is_visible()
    assert detail.locator("li", has_text="long_lifetime").is_visible()
    assert detail.get_by_text("tbsCertificate").count() == 0  # a record's fields are made when it is opened
    detail.locator(".tree > details > summary", has_text="certificate").first.click()
    detail.get_by_text("tbsCertificate").first.wait_for(state="visible")
    detail.get_by_role("button", name="Open all").click()
    assert detail.locator("details:not([open])").count() == 0
    detail.get_by_role("button", name="Close all").click()
    assert detail.locator("details[open]").count() == 0


def test_the_keyboard_goes_from_row_to_row_and_back(visit: Visit) -> None:
    visit.rows().first.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
        visit.page.keyboard.press(key)
    visit.opened()
    assert visit.page.locator("#connections-body [aria-selected=true]").get_attribute("aria-rowindex") == "3"
    assert visit.page.evaluate("document.activeElement.tagName") == "H3"
    visit.page.keyboard.press("Escape")
    assert visit.page.evaluate("document.activeElement.getAttribute('aria-rowindex')") == "3"
    assert visit.page.locator("#connections-detail").is_hidden()
    visit.page.keyboard.press("End")
    last = visit.page.locator("#connections-grid").get_attribute("aria-rowcount")
    assert visit.page.evaluate("document.activeElement.getAttribute('aria-rowindex')") == last
    visit.page.keyboard.press("Home")
    assert visit.page.evaluate("document.activeElement.getAttribute('aria-rowindex')") == "2"
    assert visit.page.locator("#connections-body [tabindex='0']").count() == 1


def test_one_goes_on_to_the_next_and_back_in_history(visit: Visit) -> None:
    detail = visit.open_first("tls13-resumed")
    assert detail.get_by_role("button", name="Previous").is_disabled()
    detail.get_by_role("button", name="Next").click()
    detail.locator("h3", has_text="Stream 1 of").wait_for()
    assert detail.get_by_role("button", name="Next").is_disabled()
    visit.page.go_back()
    detail.locator("h3", has_text="Stream 0 of").wait_for()


def test_an_address_opens_a_connection(browser: Browser, written: Path) -> None:
    with Visit(browser, written, "#connection-200") as visit:
        assert "paths-client" in visit.opened().locator("h3").inner_text()
        assert visit.page.locator("#connections-body [aria-selected=true]").get_attribute("aria-rowindex") == "202"


def test_a_certificate_leads_to_a_connection_and_back(visit: Visit) -> None:
    detail = visit.open(2, "certificates")
    assert "Alice" in detail.locator("h3").inner_text()
    detail.get_by_role("link", name="First connection with this certificate").click()
    connection = visit.opened()
    assert "client-cert" in connection.locator("h3").inner_text()
    connection.get_by_role("link", name="localhost").click()
    detail.locator("h3", has_text="localhost").wait_for()


def test_shares_of_the_summary_are_of_what_they_count() -> None:
    """Four connections, each captured at both ends."""
    page = report(*(ROOT / f"samples/ends-{end}.pcap.gz" for end in ("client", "server"))).decode()
    assert "<li>The captures contain 8 connections of 1 client with 2 servers" in page
    assert "<li>4 of these are other views of a connection in another capture" in page
    assert "<li>2 (50 %) negotiated TLS 1.3 and 2 (50 %) negotiated TLS 1.2.</li>" in page


def test_trust_is_checked_where_authorities_are_named(browser: Browser, tmp_path: Path) -> None:
    """The root that the sample's server sends is taken as the one that its user trusts."""
    capture, root, path = sample("tls12-full"), tmp_path / "root.der", tmp_path / "trusted.html"
    evidence = Evidence()
    (connection,) = Reading([capture], judge=Judge(), evidence=evidence)
    root.write_bytes(evidence.encoding(connection.certificates[-1].sha256))
    path.write_bytes(report(capture, settings=Settings(anchors=certificates(str(root)))))
    with Visit(browser, path) as visit:
        assert visit.cells("verdict", "certificates")[0] == "trusted"
        assert visit.head("verdict", "certificates").is_visible()
        assert visit.page.get_by_text("was not checked").count() == 0
        assert visit.page.get_by_text("column of verdicts").count() == 0


def test_no_column_of_verdicts_is_shown_where_nothing_was_judged(visit: Visit) -> None:
    assert visit.page.get_by_text("column of verdicts is left out").count() == 1
    assert visit.head("issuer", "certificates").is_visible()
    assert not visit.head("verdict", "certificates").is_visible()


def sample(name: str) -> Path:
    return ROOT / f"samples/{name}.pcap"


def lines(node: Node, frame: int) -> Iterator[tuple[str, str, str]]:
    yield node.name, node.text, node.place(frame)
    for child in node.children:
        yield from lines(child, frame)


def drawn(tree: Locator) -> list[list[str]]:
    return tree.evaluate(
        """tree => [...tree.querySelectorAll("li")].map((item) => {
            const line = item.firstElementChild.tagName === "DETAILS" ? item.querySelector("summary") : item;
            const value = line.querySelector(":scope > .value");
            const [where, name] = line.querySelectorAll(":scope > span");
            return [name.textContent, value ? value.textContent : "", where.textContent];
        })"""
    )


@pytest.mark.parametrize("name", ["tls12-client-cert", "tls13-hello-retry", "tomcat-firefox-resumed"])
def test_the_tree_is_that_of_the_program(visit: Visit, name: str) -> None:
    """The page works out where a field stands; the program knows it."""
    visit.search(f"{name}.pcap")
    compare_tree(visit, next(iter(tlsdissect.read(sample(name), keep=True))))


@pytest.mark.parametrize(
    "name", ["quic/quic-large-hello", "quic/quic-chromium", "tls13-client-cert", "dtls/dtls12-fragments"]
)
def test_the_tree_has_what_keys_opened(browser: Browser, tmp_path: Path, name: str) -> None:
    capture, path = sample(name), tmp_path / "opened.html"
    keys = str(capture.with_suffix(".keys"))
    path.write_bytes(report(capture, keylog=KeyLog([keys])))
    with Visit(browser, path) as visit:
        compare_tree(visit, next(iter(tlsdissect.read(capture, keep=True, keylog=keys))))


def compare_tree(visit: Visit, connection: Connection) -> None:
    """Compare the tree of the first connection that the page shows with the program's."""
    wanted = [
        list(line)
        for record in tlsdissect.tree(connection).records
        for part in record.node.children
        for line in lines(part, record.frame)
    ]
    detail = visit.open(0)
    detail.get_by_role("button", name="Open all").click()
    detail.locator(".tree li").nth(len(wanted) - 1).wait_for(state="attached")
    assert drawn(detail.locator(".tree")) == wanted


def test_the_ladder_is_that_of_the_program(visit: Visit) -> None:
    _, connection = tlsdissect.read(sample("tls13-early-data"), keep=True)
    course = Course(tlsdissect.ladder(connection).ladders[0])
    axis = Axis([course])
    written = axis.scale.in_ms
    visit.search("tls13-early-data.pcap")
    detail = visit.open(1)
    assert detail.locator("h4:text-is('Ladder') + div li").all_inner_texts() == [
        f"{written(arrow.ms)}, {arrow.sender} to {OTHER[arrow.sender]}, {said(arrow)}, frame {arrow.frame_range}"
        for arrow, *_ in course.slants
    ]
    assert detail.locator(".ladder .pause").all_text_contents() == ["969 ms later"]
    assert detail.locator(".ladder .complete").text_content() == "handshake complete"
    ends = detail.locator(".ladder .arrow").evaluate_all(ENDS)
    down = [y for pair in ends for y in pair]
    places = [axis.scale.at(ms) for _, *moments in course.slants for ms in moments]
    assert placed(down) == pytest.approx(placed(places), abs=0.002)


def said(arrow: Arrow) -> str:
    return "; ".join(f"{KINDS[kind]}: {', '.join(labels)}" for kind, labels in arrow.parts())


def placed(moments: list[float]) -> list[float]:
    return [(one - min(moments)) / (max(moments) - min(moments)) for one in moments]


ENDS = """all => all.map((arrow) => [arrow.querySelector("path").getAttribute("d"),
    arrow.querySelector(".tip").getAttribute("transform")].map((text) => Number(/[ ]([-.0-9e]+)/.exec(text)[1])))"""
"""How far down each arrow begins and ends."""
OUTSIDE = """all => all.filter((one) => {
    const { x, width } = one.getBBox(), all = one.ownerSVGElement.viewBox.baseVal;
    return x < -1 || x + width > all.width + 1; }).map((one) => one.textContent)"""


@pytest.mark.parametrize("width", [390, 1280])
def test_no_word_of_a_ladder_is_cut(browser: Browser, written: Path, width: int) -> None:
    with Visit(browser, written, viewport={"width": width, "height": 900}) as visit:
        for name in ("tls12-client-cert.pcap", "paths-client", "tls12-unknown-ca"):
            texts = visit.open_first(name).locator(".ladder text")
            assert texts.count() > 10
            assert texts.evaluate_all(OUTSIDE) == []


def test_a_ladder_shows_round_trips_and_failures(browser: Browser, tmp_path: Path) -> None:
    failing, slow = tmp_path / "failing.html", tmp_path / "slow.html"
    failing.write_bytes(report(ROOT / "samples/tls12-unknown-ca.pcap"))
    slow.write_bytes(report(ROOT / "samples/ends-client.pcap.gz"))
    with Visit(browser, failing) as visit:
        failed = visit.open(0).locator(".ladder .arrow.failed")
        assert failed.count() == 1
        assert "the handshake failed by this, in the clear: alert unknown_ca" in failed.locator("title").text_content()
        assert visit.opened().locator(".ladder text.failed").all_text_contents() == ["alert unknown_ca"]
        assert visit.opened().locator(".ladder text:text-matches('^1st')").count() == 0
    with Visit(browser, slow) as visit:
        assert visit.open(0).locator(".ladder text:text-matches('^1st')").count() > 0


KINDS = {"tcp": "TCP", "clear": "in the clear", "encrypted": "encrypted", "data": "application data"}


def test_the_comparison_is_that_of_the_program(visit: Visit, captures: list[Path]) -> None:
    (whole,) = tlsdissect.compare(*captures).groups
    wanted = [
        (label, [cell(side) for side in whole.sides])
        for section in sections(whole.sides)
        for label, cell in section.rows
    ]
    cells = "all => all.map((row) => [...row.cells].map((cell) => cell.textContent))"
    shown = visit.page.locator(".card tbody tr").evaluate_all(cells)
    assert shown == [[label, *(cell or "-" for cell in row)] for label, row in wanted if any(row)]
    assert visit.page.get_by_text("full handshakes of TLS 1.3 take").count() == 2


def test_failures_come_first_by_reason_and_lead_to_their_connections(visit: Visit, captures: list[Path]) -> None:
    connections = list(tlsdissect.read(*captures, failed=True))
    reasons = Counter(outcome(one)[0] for one in connections)
    shown = visit.page.locator(".failure", has=visit.page.locator("h3 button"))
    assert (
        Counter({one.locator("h3 button").inner_text(): int(one.locator(".many").inner_text()) for one in shown.all()})
        == reasons
    )
    assert visit.page.locator(".tiles strong").nth(1).inner_text() == str(len(connections))
    peer = visit.page.locator(".failure .who button").first
    one = peer.inner_text()
    peer.click()
    reason = shown.first.locator("h3 button").inner_text()
    assert set(visit.filters()) == {f"outcome: {reason}", f"client: {one}"}
    assert set(visit.cells("client")) == {one}
    shown.get_by_role("button", name="Show the connections with alert unknown_ca by client").click()
    assert set(visit.cells("outcome")) == {"alert unknown_ca by client"}
    sentence, _, _ = shown.first.locator("p").first.inner_text().partition(". [")
    assert re.fullmatch(r"(\d+ of \d+: )?The server ended the handshake with .*", sentence)
    shown.first.get_by_role("link").first.click()
    assert sentence.partition(": ")[2] in visit.opened().inner_text()
    assert "alert" in visit.opened().locator("dd", has_text="alert").first.inner_text()


def test_tiles_count_what_the_program_counts(visit: Visit, captures: list[Path]) -> None:
    summary = tlsdissect.summary(*captures)
    connections = list(tlsdissect.read(*captures))
    known = [one.is_tls13 for one in connections if one.version is not None]
    assert visit.page.locator(".tiles strong").all_inner_texts() == [
        f"{summary.connections:,}",
        f"{sum(one.connections for one in summary.failures):,}",
        f"{sum(any(True for _ in weaknesses(one)) for one in connections):,}",
        f"{len(summary.ending):,}",
        f"{100 * sum(known) / len(known):.0f} %",
    ]


@pytest.mark.parametrize("width", [1280, 1920])
def test_the_table_fits_its_box(browser: Browser, written: Path, width: int) -> None:
    with Visit(browser, written, viewport={"width": width, "height": 900}) as visit:
        box = visit.page.locator("#connections-scroll")
        assert box.evaluate("one => one.scrollWidth <= one.clientWidth")
        cut = "all => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)"
        at = visit.page.locator("#connections-grid thead button").all_inner_texts().index("outcome") + 1
        assert visit.page.locator(f"#connections-body td:nth-child({at})").evaluate_all(cut) == []


def test_columns_can_be_chosen(visit: Visit) -> None:
    controls = visit.page.locator("section", has=visit.page.locator("#connections"))
    assert not visit.head("JA4").is_visible()
    controls.locator(".columns summary").click()
    controls.get_by_label("JA4").check()
    controls.get_by_label("suite").uncheck()
    assert visit.head("JA4").is_visible()
    assert not visit.head("suite").is_visible()
    box = visit.page.locator("#connections-body tr[tabindex]").first
    assert box.locator("td:visible").count() == visit.page.locator("#connections-grid thead th:visible").count()


def test_figures_stand_in_the_page(visit: Visit) -> None:
    figures = visit.page.locator("figure svg[role=img]")
    labels = figures.evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
    assert {"How long handshakes take", "Cipher suites", "Lifetimes of certificates"} <= set(labels)
    visit.page.get_by_text("figures", exact=False).locator("visible=true").last.click()
    assert visit.page.locator("figure text", has_text="AES_128_GCM_SHA256").first.is_visible()  # not its outlines
    twice = "() => { const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);"
    assert visit.page.evaluate(f"{twice} return ids.filter((id, at) => ids.indexOf(id) !== at); }}") == []


def test_details_are_limited(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "few.html"
    path.write_bytes(report(*SAMPLES, detailed=1))
    with Visit(browser, path) as visit:
        assert visit.page.get_by_text("This page has ladders and trees for the first 1 connection only.").count() == 1
        assert "This page has no further details of it" in visit.open(3).inner_text()


def test_a_page_about_nothing(browser: Browser, tmp_path: Path) -> None:
    capture, path = tmp_path / "empty.pcap", tmp_path / "empty.html"
    capture.write_bytes(SAMPLES[0].read_bytes()[:24])
    path.write_bytes(report(capture))
    with Visit(browser, path) as visit:
        assert visit.page.get_by_text("The captures contain no TLS connections.").is_visible()
        assert visit.count() == "0 of 0 connections"
        assert visit.page.locator("figure, .card, #certificates, #findings").count() == 0


def test_many_connections_take_little_room_and_stay_usable(browser: Browser, tmp_path: Path) -> None:
    """The details of 1,024 are in this page; from them follows what those of all would take."""
    path = tmp_path / "many.html"
    path.write_bytes(report(made(tmp_path / "many.pcap", 10_000), detailed=1024))
    page = path.read_text()
    details = sum(map(len, re.findall(r'id="connections-details-\d+">([^<]*)<', page)))
    assert len(page) - details + details * 10_000 / 1024 < 20_000_000
    with Visit(browser, path) as visit:
        assert visit.count() == "10,000 of 10,000 connections"
        assert visit.rows().count() < 100
        visit.page.locator("#connections-scroll").evaluate("one => { one.scrollTop = one.scrollHeight; }")
        visit.page.wait_for_selector("#connections-body [aria-rowindex='10001']")
        visit.head("ms").locator("button").click()
        times = [float(cell) for cell in visit.cells("ms")]
        assert times == sorted(times)
        assert re.fullmatch(r"\d+", visit.cells("days left", "certificates")[0])
        visit.search("w0123.lan 1.3")
        assert set(visit.cells("server")) == {"w0123.lan"}
        assert set(visit.cells("TLS")) == {"1.3"}
        visit.page.get_by_role("button", name="Show all").click()
        assert visit.open(0).locator(".ladder .arrow").count() > 5


def made(path: Path, connections: int) -> Path:
    script = ROOT / "tests/benchmarks/captures.py"
    command = [sys.executable, script, "--handshakes", str(connections), "--out", path]
    subprocess.run(command, check=True, timeout=300)
    return path
