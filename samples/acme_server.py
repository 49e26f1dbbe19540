"""An ACME server of one order at a time (RFC 8555), for recordings.

It has those who ask prove that a name is theirs, and issues what an authority makes for it. It takes everyone's word
for who they are: signatures are not checked.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PORT = 14000
URL = f"http://localhost:{PORT}"
TOKEN = "a-token-of-an-order-made-for-a-recording"


class _Order:
    """What becomes of the order: a name, whether it was proved, and what was issued."""

    def __init__(self, prove: Callable[[str, str], None], issue: Callable[[str, bytes], str]) -> None:
        self._prove, self._issue = prove, issue
        self.name = ""
        self.thumbprint = ""
        self.authorization = "pending"
        self.chain = ""

    @property
    def status(self) -> str:
        proved = "ready" if self.authorization == "valid" else "pending"
        return "valid" if self.chain else proved

    def prove(self) -> None:
        self._prove(self.name, f"{TOKEN}.{self.thumbprint}")
        self.authorization = "valid"

    def answer(self, path: str, header: dict[str, Any], asked: dict[str, Any]) -> tuple[int, object, str]:
        """Status, content, and where what was made stands."""
        if path == "/account":
            key = json.dumps(header["jwk"], sort_keys=True, separators=(",", ":"))
            self.thumbprint = _encoded(hashlib.sha256(key.encode()).digest())  # RFC 7638
            return 201, {"status": "valid", "contact": [], "orders": f"{URL}/orders"}, "/account/1"
        if path == "/new-order":
            self.name = asked["identifiers"][0]["value"]
            return 201, self._order(), "/order/1"
        if path == "/challenge/1":
            threading.Thread(target=self.prove, daemon=True).start()
            return 200, {**self._challenge("tls-alpn-01"), "status": "processing"}, ""
        if path == "/finalize/1":
            self.chain = self._issue(self.name, _decoded(asked["csr"]))
            return 200, self._order(), "/order/1"
        answers = {
            "/order/1": self._order,
            "/authorization/1": self._authorization,
            "/certificate/1": lambda: self.chain,
        }
        return 200, answers.get(path, lambda: {"status": "valid"})(), ""

    def _order(self) -> dict[str, object]:
        made = {"certificate": f"{URL}/certificate/1"} if self.chain else {}
        return {
            "status": self.status,
            "identifiers": [self._identifier()],
            "authorizations": [f"{URL}/authorization/1"],
            "finalize": f"{URL}/finalize/1",
            **made,
        }

    def _authorization(self) -> dict[str, object]:
        return {
            "status": self.authorization,
            "identifier": self._identifier(),
            "challenges": [self._challenge("tls-alpn-01"), self._challenge("http-01")],
        }

    def _challenge(self, kind: str) -> dict[str, object]:
        return {"type": kind, "url": f"{URL}/challenge/1", "token": TOKEN, "status": self.authorization}

    def _identifier(self) -> dict[str, str]:
        return {"type": "dns", "value": self.name}


@contextlib.contextmanager
def serving(prove: Callable[[str, str], None], issue: Callable[[str, bytes], str]) -> Iterator[str]:
    """The address of a server that asks `prove` about a name and its key authorisation, and `issue` for a chain in PEM
    when it has the name and a request in DER."""
    order = _Order(prove, issue)

    class Handler(BaseHTTPRequestHandler):
        """One request and its answer."""

        def do_HEAD(self) -> None:
            self._say(200, {}, "")

        def do_GET(self) -> None:
            names = ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange")
            places = ("nonce", "account", "new-order", "revoke", "change")
            self._say(200, {name: f"{URL}/{place}" for name, place in zip(names, places, strict=True)}, "")

        def do_POST(self) -> None:
            signed = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            header = json.loads(_decoded(signed["protected"]))
            asked = json.loads(_decoded(signed["payload"]) or b"{}")
            self._say(*order.answer(self.path, header, asked))

        def log_message(self, *_: object) -> None:
            pass

        def _say(self, status: int, content: object, place: str) -> None:
            chain = isinstance(content, str)
            body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/pem-certificate-chain" if chain else "application/json")
            self.send_header("Replay-Nonce", _encoded(hashlib.sha256(self.path.encode()).digest()))
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Link", f'<{URL}/directory>;rel="index"')
            if self.path == "/challenge/1":
                self.send_header("Link", f'<{URL}/authorization/1>;rel="up"')
            if place:
                self.send_header("Location", f"{URL}{place}")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    class Server(ThreadingHTTPServer):
        """The loopback interface's."""

        address_family = socket.AF_INET6
        daemon_threads = True

    with Server(("::", PORT), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"{URL}/directory"
        finally:
            server.shutdown()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
