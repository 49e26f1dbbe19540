"""The report's page: light and dark, on paper, narrow, without a script, and for those who do not see it."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from typing import TYPE_CHECKING, Literal

import pytest
from made import made, recorded
from msgspec.structs import replace
from PIL import Image
from recorded import ROOT, script
from visiting import Visit, report

from tlsdissect.handshake.facts.evidence import Evidence
from tlsdissect.model.connection import Alert, Timing
from tlsdissect.pipeline import Reading
from tlsdissect.trust.anchors import certificates
from tlsdissect.trust.judge import Judge
from tlsdissect.trust.rules import RULES, finding
from tlsdissect.trust.verdicts import Settings
from tlsdissect.views.colours import SHEETS
from tlsdissect.views.report.page import Report

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

BROKEN_DATES = r"""() => {
    const words = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    const broken = [];
    let dates = 0;
    while (words.nextNode()) {
        for (const date of words.currentNode.data.matchAll(/\d{4}-\d\d-\d\d/g)) {
            const range = document.createRange();
            range.setStart(words.currentNode, date.index);
            range.setEnd(words.currentNode, date.index + date[0].length);
            dates += 1;
            if (new Set([...range.getClientRects()].map((one) => one.top)).size > 1) broken.push(date.input);
        }
    }
    return [dates, broken];
}"""
PHONE = {"width": 390, "height": 844}
SHEET, NIGHT = (f"rgb({', '.join(map(str, bytes.fromhex(SHEETS[dark][0][1:])))})" for dark in (False, True))


def background(visit: Visit) -> str:
    return str(visit.page.evaluate("getComputedStyle(document.body).backgroundColor"))


@pytest.mark.parametrize("width", [1300, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_that_axe_knows(browser: Browser, written: Path, scheme: str, width: int) -> None:
    size = {"width": width, "height": 900}
    with Visit(browser, written, color_scheme=scheme, viewport=size, bypass_csp=True) as visit:
        visit.page.locator("details", has_text="Captures").locator("summary").first.click()
        visit.cell("outcome", 0).locator(".value").click()
        visit.open(0, "certificates")
        detail = visit.open_first("tls12-client-cert.pcap")
        detail.locator(".tree > details > summary").first.click()
        assert visit.violations() == []


def test_findings_have_the_colour_of_their_severity(browser: Browser, written: Path) -> None:
    with Visit(browser, written) as visit:
        classes = dict(
            visit.page.eval_on_selector_all(
                "#certificates-body .value:is(.bad, .odd, .quiet), #connections-body .value:is(.bad, .odd, .quiet)",
                "found => found.map((one) => [one.dataset.value, one.classList[1]])",
            )
        )
    tones = {"high": "bad", "medium": "bad", "low": "odd", "info": "quiet"}
    severities = {rule.code: tones[rule.severity] for rule in RULES}
    assert classes == {code: severities[code] for code in classes}
    assert len(set(classes.values())) > 1


def test_figures_on_top_leave_no_hole(browser: Browser, written: Path) -> None:
    """Five of them, on a phone in rows of one and two, on paper in a row."""
    for size, media in ((PHONE, "screen"), ({"width": 700, "height": 900}, "print")):
        with Visit(browser, written, viewport=size) as visit:
            visit.page.emulate_media(media=media)
            boxes = visit.page.eval_on_selector_all(
                ".tiles li", "all => all.map((one) => [one.getBoundingClientRect().y, one.offsetWidth])"
            )
        rows = {y: sum(width for at, width in boxes if at == y) for y, _ in boxes}
        assert len(rows) == (3 if media == "screen" else 1)
        assert max(rows.values()) - min(rows.values()) < 20


def test_one_connection_is_no_plural_and_a_path_breaks_after_its_folders(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "one.html"
    page.write_bytes(report(ROOT / "samples/tls13-full.pcap"))
    with Visit(browser, page, viewport=PHONE) as visit:
        assert visit.count() == "1 of 1 connection"
        assert visit.page.locator(".tiles li").first.inner_text().split() == ["1", "connection", "in", "1", "capture"]
        assert visit.page.locator("h1 wbr").count() > 0


def test_long_names_of_captures_do_not_widen_the_page_of_a_phone(browser: Browser, tmp_path: Path) -> None:
    names = [tmp_path / ("a-name-without-end-" * 5) / f"{number}.pcap" for number in range(2)]
    names[0].parent.mkdir()
    for name in names:
        name.symlink_to(ROOT / "samples/tls13-full.pcap")
    path = tmp_path / "report.html"
    path.write_bytes(report(*names))
    with Visit(browser, path, viewport=PHONE) as visit:
        visit.page.locator("details", has_text="Captures").locator("summary").first.click()
        assert visit.page.get_by_role("row", name="0.pcap").last.is_visible()
        assert visit.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_no_date_is_broken(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(report(*sorted((ROOT / "samples" / "talk").glob("*-revoked-tls12.pcap"))))
    with Visit(browser, path) as visit:
        visit.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        visit.rows().first.press("Enter")
        visit.opened()
        for width in range(320, 1300, 20):
            visit.page.set_viewport_size({"width": width, "height": 900})
            dates, broken = visit.page.evaluate(BROKEN_DATES)
            assert dates > 5
            assert broken == []


def test_on_paper_no_remark_is_larger_than_its_sentence(browser: Browser, written: Path) -> None:
    with Visit(browser, written) as visit:
        visit.page.emulate_media(media="print")
        sizes = "one => ['p', '.who', 'small'].map((part) => getComputedStyle(one.querySelector(part)).fontSize)"
        advised = visit.page.locator(".failure", has=visit.page.locator("small")).first
        sentence, *others = (float(size.removesuffix("px")) for size in advised.evaluate(sizes))
        assert max(others) <= sentence


def test_all_numbers_of_a_comparison_are_seen_on_a_laptop(browser: Browser, tmp_path: Path) -> None:
    """Older versions, TLS 1.2, TLS 1.3, QUIC and none beside each other, with times of many digits."""
    names = ("network/network-old-clients.pcap", "quic/quic-full.pcap", "paths-client.pcap.gz")
    page = tmp_path / "versions.html"
    page.write_bytes(report(*(ROOT / "samples" / name for name in names)))
    with Visit(browser, page, viewport={"width": 1280, "height": 900}) as visit:
        visit.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        cut = "all => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.innerText.slice(0, 40))"
        assert visit.page.locator(".cards.many .card").count() > 5
        assert visit.page.eval_on_selector_all(".card", cut) == []


def test_what_a_finding_says_has_the_width_of_a_phone(browser: Browser, written: Path) -> None:
    with Visit(browser, written, viewport=PHONE) as visit:
        row = visit.page.locator(".findings tbody tr").first
        assert (
            row.locator("td").nth(1).bounding_box()["width"]
            > 0.9 * visit.page.locator("#findings").bounding_box()["width"]
        )
        assert row.locator(".badge").bounding_box()["y"] < row.locator("td").nth(1).bounding_box()["y"]


def test_light_and_dark(browser: Browser, written: Path) -> None:
    with Visit(browser, written, color_scheme="dark") as visit:
        assert background(visit) == NIGHT
        visit.page.get_by_role("button", name="Light or dark").click()
        assert background(visit) == SHEET
        visit.page.get_by_role("button", name="Light or dark").click()
        assert background(visit) == NIGHT
        ink = "getComputedStyle(document.querySelector('figure text')).fill"
        assert visit.page.evaluate(ink) == "rgb(232, 234, 237)"
        visit.page.emulate_media(media="print")
        assert background(visit) == SHEET


def test_paper_has_all_rows_and_no_controls(browser: Browser, written: Path) -> None:
    with Visit(browser, written) as visit:
        visit.search("established")
        visit.page.emulate_media(media="print")
        visit.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        wanted = int(visit.page.locator("#connections-grid").get_attribute("aria-rowcount")) - 1
        assert visit.rows().count() == wanted > 100
        assert visit.page.locator("#connections-paper").inner_text() == f"{visit.count()}."
        for hidden in (".controls", "nav", "#scheme", ".chips .link", ".grid thead button", ".grid .hidden"):
            assert not visit.page.locator(hidden).first.is_visible()
        visit.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert visit.rows().count() < wanted


def test_paper_has_all_ways_in_which_handshakes_failed(browser: Browser, written: Path) -> None:
    with Visit(browser, written) as visit:
        visit.page.emulate_media(media="print")
        visit.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        stories = visit.page.locator(".failure details p")
        assert stories.count() > 0
        assert all(one.is_visible() for one in stories.all())


def test_paper_has_a_row_in_few_lines(browser: Browser, written: Path) -> None:
    """On the wide pages of the tables, at A4's width between margins of 12 mm: outcomes and addresses stay whole."""
    with Visit(browser, written, viewport={"width": 1032, "height": 700}) as visit:
        titles = visit.page.locator("#connections-grid thead button").all_inner_texts()
        visit.page.emulate_media(media="print")
        visit.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        lines = """all => all.map((cell) => {
            const range = document.createRange();
            range.selectNodeContents(cell);
            return new Set([...range.getClientRects()].map((one) => Math.round(one.top))).size;
        })"""
        for title in ("outcome", "client", "server", "ms"):
            column = f"#connections-body tr[tabindex] td:nth-child({titles.index(title) + 1})"
            assert set(visit.page.locator(column).evaluate_all(lines)) == {1}
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 1032


@pytest.mark.parametrize(("width", "media"), [(390, "screen"), (1280, "screen"), (1032, "print")])
def test_findings_stand_below_each_other_with_no_word_cut(
    browser: Browser, written: Path, width: int, media: Literal["screen", "print"]
) -> None:
    with Visit(browser, written, viewport={"width": width, "height": 900}) as visit:
        visit.page.locator("#findings ~ details > summary").click()
        visit.page.emulate_media(media=media)
        assert visit.page.locator(".findings").evaluate_all("all => all.every((one) => one.offsetWidth <= innerWidth)")
        badges = "all => all.map((one) => one.getClientRects().length + one.scrollWidth - one.clientWidth)"
        assert set(visit.page.locator(".findings .badge").evaluate_all(badges)) == {1}
        if media == "screen":
            lefts = "all => all.map((table) => [...table.tHead.rows[0].cells].map((one) => one.offsetLeft))"
            one, other = visit.page.locator(".findings").evaluate_all(lefts)
            assert one == other


def test_a_long_title_leaves_the_navigation_on_one_line(browser: Browser, written: Path) -> None:
    with Visit(browser, written, viewport={"width": 1280, "height": 900}) as visit:
        visit.page.evaluate("document.querySelector('h1').textContent = 'a-rather-long-name-of-a-capture '.repeat(4)")
        tops = visit.page.locator("nav li").evaluate_all("all => all.map((one) => one.getBoundingClientRect().top)")
        assert len(set(tops)) == 1


def test_paper_has_the_connection_that_is_open(browser: Browser, written: Path) -> None:
    with Visit(browser, written) as visit:
        visit.open_first("tls12-full")
        visit.page.emulate_media(media="print")
        assert visit.page.locator(".ladder").is_visible()
        assert not visit.page.get_by_role("button", name="Next").is_visible()
        assert visit.page.pdf(format="A4").startswith(b"%PDF")


CUT = "all => all.filter((one) => one.scrollHeight > one.clientHeight + 1).length"


@pytest.mark.parametrize("width", [1000, 1280, 1920])
def test_names_and_outcomes_are_seen_whole(browser: Browser, written: Path, width: int) -> None:
    """At 1280, outcomes take one line, and names of captures that are too long take two, as do both where less fits."""
    with Visit(browser, written, viewport={"width": width, "height": 900}) as visit:
        visit.search("by")
        folded = visit.page.locator("#connections-body .reason .value")
        assert folded.evaluate_all(CUT) == 0
        titles = visit.page.locator("#connections-grid thead button").all_inner_texts()
        cut = "all => all.filter((one) => one.scrollWidth > one.clientWidth).length"
        for title in ("source", "outcome", *(("client", "server") if width > 1000 else ())):
            column = visit.page.locator(f"#connections-body tr[tabindex] td:nth-child({titles.index(title) + 1})")
            assert column.count() >= 6
            assert column.evaluate_all(cut) == 0
            lines = column.evaluate_all("all => all.filter((one) => one.classList.contains('reason')).length")
            assert title == "source" or (lines > 0) == (width == 1000)
        height = "all => all.map((one) => one.offsetHeight)"
        assert len(set(visit.rows().evaluate_all(height))) == 1
        visit.page.set_viewport_size({"width": 1920, "height": 900})
        folded.first.wait_for(state="detached")


def test_a_verdict_is_seen_whole_on_a_laptop(browser: Browser, captures: list[Path], tmp_path: Path) -> None:
    """Only the authority of one of the captures is trusted."""
    root, page, evidence = tmp_path / "root.der", tmp_path / "judged.html", Evidence()
    (connection,) = Reading([ROOT / "samples/tomcat-tls12.pcap"], judge=Judge(), evidence=evidence)
    root.write_bytes(evidence.encoding(connection.certificates[-1].sha256))
    page.write_bytes(report(*captures, settings=Settings(anchors=certificates(str(root)))))
    with Visit(browser, page, viewport={"width": 1280, "height": 900}) as visit:
        verdicts = visit.page.locator("#certificates-body .reason .value")
        assert "not trusted: self-signed certificate in certificate chain at depth 1" in verdicts.all_inner_texts()
        assert verdicts.evaluate_all(CUT) == 0


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_numbers_of_a_version_stand_below_each_other(browser: Browser, tmp_path: Path, width: int) -> None:
    page = tmp_path / "paths.html"
    page.write_bytes(report(ROOT / "samples/paths-client.pcap.gz"))
    with Visit(browser, page, viewport={"width": width, "height": 900}) as visit:
        visit.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        edges = visit.page.eval_on_selector_all(
            ".card",
            "all => all.map((one) => [...one.querySelectorAll('thead th')].map((cell) =>"
            " Math.round(cell.getBoundingClientRect().right - one.getBoundingClientRect().left)))",
        )
        assert len(edges) > 5
        assert len({tuple(one) for one in edges}) == 1


def test_a_phone_scrolls_down_only(browser: Browser, written: Path) -> None:
    with Visit(browser, written, viewport=PHONE) as visit:
        detail = visit.open_first("tls12-client-cert.pcap")
        detail.get_by_role("button", name="Open all").click()
        assert visit.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_a_phone_shows_capture_and_outcome_at_once(browser: Browser, written: Path) -> None:
    with Visit(browser, written, viewport=PHONE) as visit:
        visit.page.locator("#connections-scroll").scroll_into_view_if_needed()
        titles = "all => all.filter((one) => one.offsetParent).map((one) => one.textContent)"
        heads = visit.page.locator("#connections-grid thead button")
        assert heads.evaluate_all(titles) == ["source", "stream", "outcome"]
        # Nothing is cut, and nothing has to be scrolled to.
        assert visit.page.locator("#connections-scroll").evaluate("one => one.scrollWidth <= one.clientWidth")
        visit.search("pcap by")
        cells = visit.page.locator("#connections-body :is(.name, .reason) .value")
        assert cells.count() >= 12
        assert cells.evaluate_all(CUT) == 0
        ticked = visit.page.locator("#connections-grid").locator("xpath=ancestor::section").locator(".columns :checked")
        assert ticked.count() == 3


def test_without_a_script_the_rest_is_there(browser: Browser, written: Path) -> None:
    with Visit(browser, written, java_script_enabled=False) as visit:
        assert visit.page.get_by_text("appear after the script of this page has run").is_visible()
        assert visit.page.locator(".tiles").is_visible()
        for summary in visit.page.locator("section > details > summary").all():
            summary.click()
        assert visit.page.locator("figure svg").first.is_visible()
        assert visit.page.locator(".card").first.is_visible()
        assert visit.page.locator("#findings").is_visible()


def test_a_browser_that_cannot_unpack_says_so(browser: Browser, written: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.html"
    page = written.read_text()
    start = page.index('id="connections-rows">') + len('id="connections-rows">')
    path.write_text(page[:start] + "AAAA" + page[start + 4 :])
    context = browser.new_context()
    visited = context.new_page()
    visited.goto(path.as_uri())
    visited.get_by_role("alert").filter(has_text="This browser cannot show the tables").wait_for()
    context.close()


def test_landmarks_and_headings_guide(browser: Browser, written: Path) -> None:
    with Visit(browser, written) as visit:
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.textContent") == "Skip to the connections"
        levels = visit.page.locator("h1, h2").evaluate_all("all => all.map((one) => one.tagName + one.textContent)")
        assert levels[0].startswith("H1TLS in")
        assert [one[2:] for one in levels[1:]] == [
            "Failures", "Findings", "Connections", "Certificates", "Comparison of versions",
            "Figures", "Summary",
        ]  # fmt: skip
        for name in ("header", "nav", "main"):
            assert visit.page.locator(name).count() == 1
        assert visit.page.get_by_role("search").count() == 2
        visit.search("psk")
        assert visit.page.get_by_role("status").filter(has_text="of").count() == 2


def planted() -> Report:
    """A report on many good connections and on a few with one of five troubles each."""
    report = Report(("planted",), Judge(), Evidence(), 0)
    timing = Timing(tcp_ms=40.0, handshake_ms=80.0)
    for number in range(40):
        report.add(made(stream=number, findings=(), timing=timing))
    late = replace(timing, server_hello_ms=290.0, handshake_ms=330.0)
    refused = (Alert("server", "fatal", "protocol_version", 6),)
    for number, changes in enumerate(
        (
            {"findings": (finding("expired", "since 2026-11-20", 6),), "sni": "expired.example"},
            {"findings": (finding("name_mismatch", "for other.example", 6),), "sni": "shop.example"},
            {"outcome": "alert", "failed_by": "server", "alerts": refused, "sni": "new.example"},
            {
                "findings": (finding("static_rsa", "TLS_RSA_WITH_AES_128_CBC_SHA", 6),),
                "sni": "weak.example",
                "version": "TLS 1.2",
                "cipher_suite": "TLS_RSA_WITH_AES_128_CBC_SHA",
            },
            {"timing": late, "sni": "far.example"},
        )
    ):
        report.add(made(stream=100 + number, **{"findings": (), "timing": timing, "messages": (), **changes}))
    return report


def test_five_troubles_stand_on_the_first_screen(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "planted.html"
    path.write_bytes(b"".join(planted().pieces()))
    with Visit(browser, path, viewport={"width": 1280, "height": 800}) as visit:
        lines = visit.page.locator(".failure, .findings tbody tr").filter(visible=True)
        texts = lines.all_inner_texts()
        for line, words in zip(
            texts,
            (
                ("1", "alert protocol_version by server", "new.example", "The client offered only TLS 1.2"),
                (
                    "1",
                    "handshake took 100 ms or more beyond its round trips, 250 ms",
                    "far.example:8443",
                    "The server took about",
                ),
                (
                    "high",
                    "expired",
                    "the certificate is no longer valid",
                    "expired.example",
                    "Renew the certificate; check why the renewal did not run.",
                ),
                ("high", "name_mismatch", "the certificate does not cover the requested name", "shop.example"),
                ("medium", "static_rsa", "RSA key transport", "weak.example"),
            ),
            strict=True,
        ):
            assert all(word in " ".join(line.split()) for word in words), line
        assert all(box["y"] + box["height"] < 800 for box in (one.bounding_box() for one in lines.all()))
        assert "1 old or weak with RSA key transport" in " ".join(visit.page.locator(".tiles").inner_text().split())
        lines.filter(has_text="took 100 ms").get_by_role("link").click()
        assert "Stream 104" in visit.opened().inner_text()
        visit.page.get_by_role("button", name="Show the connections with expired: 1").first.click()
        assert visit.cells("server") == ["expired.example:8443"]


def test_the_top_says_when_and_counts_the_peers_that_it_does_not_name(browser: Browser, tmp_path: Path) -> None:
    path, report = tmp_path / "peers.html", Report(("peers",), Judge(), Evidence(), 0)
    failed = {"outcome": "alert", "failed_by": "server", "alerts": (Alert("server", "fatal", "internal_error", 6),)}
    for number in range(5):
        client = replace(made().client, ip=f"192.0.2.{number}")
        start, end = (f"2026-01-02T03:0{number}:{seconds}.000000Z" for seconds in ("04", "05"))
        report.add(made(stream=number, client=client, start=start, end=end, **failed))
    path.write_bytes(b"".join(report.pieces()))
    with Visit(browser, path) as visit:
        assert visit.page.locator("header p").inner_text() == "from 2026-01-02 03:00:04 to 03:04:05 UTC"
        line = " ".join(visit.page.locator(".failure").first.inner_text().split())
        assert "from 192.0.2.0 (1), 192.0.2.1 (1), 192.0.2.2 (1), others (2) to localhost:8443 (5)" in line


def test_the_pictures_in_the_readme_show_the_page_as_it_is_now(browser: Browser, tmp_path: Path) -> None:
    recorder, page = script(ROOT / "samples" / "record-pictures"), tmp_path / "report.html"
    command = [sys.executable, "-m", "tlsdissect", "report", "-q", recorder.CAPTURE, "-o", page]
    subprocess.run(command, cwd=ROOT, check=True)
    now = Image.open(BytesIO(recorder.screen(browser, page, "light")))
    for name in ("report.png", "report-dark.png"):
        path = ROOT / "docs" / "pictures" / name
        kept = Image.open(path)
        assert (kept.text, kept.size) == (now.text, now.size)
        assert path.stat().st_size < 80_000


def test_a_good_capture_has_no_failures_and_no_findings(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "good.html"
    report = Report(("good",), Judge(), Evidence(), 0)
    report.add(made(findings=()))
    path.write_bytes(b"".join(report.pieces()))
    with Visit(browser, path) as visit:
        section = visit.page.locator("section", has=visit.page.locator("#failures"))
        assert section.inner_text().split("\n")[-1] == "No handshake failed."
        assert visit.page.locator(".findings .badge:is(.high, .medium)").count() == 0


def many(categories: int) -> Report:
    """A report on as many suites, groups, names, captures, outcomes and certificates as there are categories."""
    judge, evidence = Judge(), Evidence()
    report = Report(("many",), judge, evidence, 0)
    for number in range(categories):
        (leaf, *_) = recorded().certificates
        shown = replace(leaf, sha256=f"{number:064x}", subject=f"CN=www{number}.example.com,O=A name of some length")
        report.add(
            made(
                source=f"captures/{number}/a name of some length.pcap",
                stream=number,
                version=("TLS 1.3", "TLS 1.2", "TLS 1.0")[number % 3],
                cipher_suite=f"TLS_ECDHE_ECDSA_WITH_SOMETHING_LONG_{number}_POLY1305_SHA256",
                group=f"a_group_of_some_length_{number}",
                signature_scheme=f"a_scheme_of_some_length_{number}",
                sni=f"www{number}.{'long.' * 10}example.com",
                outcome="alert",
                failed_by="server",
                certificates=(shown,),
            )
        )
    return report


OVERLAPS = """() => [...document.querySelectorAll("figure svg")].flatMap((svg) => {
    const upright = [...svg.querySelectorAll("text")].filter((one) => !/rotate\\(-?(?!0|90)/.test(one.outerHTML));
    const boxes = upright.map((one) => [one.textContent, one.getBoundingClientRect()]);
    return boxes.flatMap(([text, a], at) => boxes.slice(at + 1).filter(([, b]) =>
        Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
        Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3).map(([other]) => [text, other]));
})"""


@pytest.mark.parametrize("categories", [3, 300])
@pytest.mark.parametrize("width", [1300, 390])
def test_nothing_overlaps(browser: Browser, tmp_path: Path, categories: int, width: int) -> None:
    path = tmp_path / "many.html"
    path.write_bytes(b"".join(many(categories).pieces()))
    with Visit(browser, path, viewport={"width": width, "height": 900}) as visit:
        assert visit.page.locator("figure text").count() > 50
        assert visit.page.evaluate(OVERLAPS) == []
        assert visit.page.evaluate("document.documentElement.scrollWidth") == width
        spilled = "all => all.filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)"
        assert visit.page.locator(".plain td, .plain th").evaluate_all(spilled) == []


def test_details_of_a_failure_say_first_in_red_how_it_ended(browser: Browser, written: Path) -> None:
    with Visit(browser, written) as visit:
        failed = visit.open_first("tls12-unknown-ca")
        assert failed.locator("h5").first.inner_text() == "How it ended"
        assert failed.locator("strong.bad").inner_text().startswith("✗ the client refused the handshake")
        established = visit.open_first("tls12-full")
        assert established.locator("h5").first.inner_text() == "What the client offered"
        assert established.locator("strong.good").inner_text().startswith("✓ established")


def test_grave_findings_stand_above_many_failures(browser: Browser, tmp_path: Path) -> None:
    """Below the figures on top, before failures that fill the screen."""
    many = Report(("planted",), Judge(), Evidence(), 0)
    for number, code in enumerate(("weak_key", "name_mismatch", "name_mismatch", "static_rsa")):
        many.add(made(stream=number, findings=(finding(code, "why", 6),)))
    for number, name in enumerate(("handshake_failure", "protocol_version", "unrecognized_name", "decode_error")):
        for one in range(9):
            alerts = (Alert("server", "fatal", name, 6),)
            many.add(made(stream=100 + 10 * number + one, outcome="alert", failed_by="server", alerts=alerts))
    path = tmp_path / "many.html"
    path.write_bytes(b"".join(many.pieces()))
    with Visit(browser, path, viewport={"width": 1280, "height": 500}) as visit:
        line = visit.page.locator(".foremost")
        named = ["certificate for another name (2)", "weak key (1)", "5 more findings"]
        assert line.inner_text().split("\n") == ["high", *named]
        box = line.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 300
        line.get_by_role("button", name="Show the connections with weak key: 1").click()
        assert visit.count() == "1 of 40 connections"


def test_nothing_stands_above_findings_that_no_failure_pushes_down(browser: Browser, tmp_path: Path) -> None:
    good = Report(("planted",), Judge(), Evidence(), 0)
    good.add(made(findings=(finding("weak_key", "why", 6),)))
    path = tmp_path / "good.html"
    path.write_bytes(b"".join(good.pieces()))
    with Visit(browser, path) as visit:
        assert visit.page.locator(".foremost").count() == 0


def test_a_report_on_the_folder_at_hand_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "night"
    (folder / "inner").mkdir(parents=True)
    monkeypatch.chdir(folder / "inner")
    for name, title in ((".", "inner"), ("..", "night"), ("./a.pcap", "./a.pcap")):
        page = b"".join(Report((name,), Judge(), Evidence(), 0).pieces()).decode()
        assert f"<title>TLS in {title}</title>" in page
