"""A connection in a notebook is a card, and nothing that it says can leave the card."""

from __future__ import annotations

import html
import re
import subprocess
import sys

from msgspec.structs import replace
from recorded import ROOT

import tlsdissect
from tlsdissect.views.notebook import card

NOTEBOOK = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
import tlsdissect
for keep in (False, True):
    (one,) = tlsdissect.read("samples/tls12-full.pcap", keep=keep)
    data, _ = shell.display_formatter.format(one)
    print(data["text/html"])
data, size = shell.display_formatter.format(tlsdissect.plot("versions", "samples/tls12-full.pcap"))
print(data["image/png"][:4], size["image/png"]["width"] > 400)
"""


def one(name: str) -> tlsdissect.Connection:
    (connection,) = tlsdissect.read(ROOT / "samples" / f"{name}.pcap")
    return connection


def shown(connection: tlsdissect.Connection) -> dict[str, str]:
    text = card(connection)
    return {key: html.unescape(value) for key, value in re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text)}


def test_a_notebook_shows_the_card() -> None:
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.count('<section class="tlsdissect-card"') == 2
    assert done.stdout.endswith("b'\\x89PNG' True\n")


def test_python_without_a_notebook_does_not_load_the_card() -> None:
    program = "import sys, tlsdissect; sys.exit('tlsdissect.views' in sys.modules or 'IPython' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_what_the_card_says() -> None:
    connection = one("tls12-full")
    told = shown(connection)
    assert told["cipher suite"] == connection.cipher_suite
    assert told["handshake"].startswith("2 round trips, ")
    assert connection.certificates is not None
    assert connection.certificates[0].subject is not None
    assert "CN=localhost," in connection.certificates[0].subject
    assert told["certificate"] == "localhost, issued by smplca, until 2045-01-01T00:00:00Z"
    assert told["begun"].startswith(connection.start)
    assert shown(one("tls13-full"))["certificate"] == "encrypted"
    assert "handshake_failure by server" in shown(one("tls12-no-common-suite"))["alerts"]


def test_findings_stand_by_severity() -> None:
    (connection,) = tlsdissect.read(ROOT / "samples/tls12-full.pcap", findings=True)
    found = {
        severity: one.split(", ")
        for severity, one in (part.split(": ") for part in shown(connection)["findings"].split("; "))
    }
    assert list(found) == [severity for severity in ("high", "medium", "low", "info") if severity in found]
    assert sorted(found["info"]) == sorted({one.code for one in connection.findings or () if one.severity == "info"})


def test_names_stay_inside() -> None:
    connection = replace(one("tls12-full"), sni="<script>\x1b[2J\u202e", alpn="</dd><b>", source="<i>")
    text = card(connection)
    assert not re.search(r"<(script|b|i)>|\x1b|\u202e", text)
    assert "&lt;script&gt;\\x1b[2J\\u202e" in text
