#!/usr/bin/env python3
"""A server and a client of QUIC, made of aioquic, for `record`: the client asks for one page by HTTP/0.9 (hq-interop).

quic_peer.py server --certificate CHAIN --key KEY [--retry] [--versions 2,1] [--alpn NAME]
quic_peer.py client --authority CERTIFICATE --keys FILE [--versions 1,2] [--first 1] [--session FILE] [--large]
                    [--moves during|after]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import pickle
import socket
import ssl
from functools import partial
from pathlib import Path
from typing import TextIO

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import HandshakeCompleted, ProtocolNegotiated, QuicEvent, StreamDataReceived
from aioquic.quic.packet import QuicProtocolVersion

VERSIONS = {"1": QuicProtocolVersion.VERSION_1, "2": QuicProtocolVersion.VERSION_2}
PAGE = b"<!doctype html><title>A page</title>" + b"<p>of some length</p>" * 100


class Server(QuicConnectionProtocol):
    """Answers each request with a page, over HTTP/3 if the client negotiated that, as browsers do."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ProtocolNegotiated) and event.alpn_protocol == "h3":
            self.http = H3Connection(self._quic)
        if self.http is not None:
            for one in self.http.handle_event(event):
                if isinstance(one, HeadersReceived):
                    self.http.send_headers(one.stream_id, [(b":status", b"200"), (b"content-type", b"text/html")])
                    self.http.send_data(one.stream_id, PAGE, end_stream=True)
                    self.transmit()
        elif isinstance(event, StreamDataReceived) and event.end_stream:
            self._quic.send_stream_data(event.stream_id, PAGE, end_stream=True)
            self.transmit()


class Socket:
    """Another UDP socket of a client, as the port that a NAT gives it from now on."""

    def __init__(self, client: QuicConnectionProtocol) -> None:
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._socket.bind(("::", 0))
        self._client = client
        asyncio.get_event_loop().add_reader(self._socket, self._receive)

    def _receive(self) -> None:
        self._client.datagram_received(*self._socket.recvfrom(1 << 16))

    def sendto(self, data: bytes, address: object) -> None:
        self._socket.sendto(data, address)

    def close(self) -> None:
        asyncio.get_event_loop().remove_reader(self._socket)
        self._socket.close()


class Client(QuicConnectionProtocol):
    def __init__(self, *arguments: object, moves: str | None = None, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.moves = moves
        self.expect()

    def expect(self) -> None:
        self.page = asyncio.get_event_loop().create_future()

    def ask(self) -> None:
        stream = self._quic.get_next_available_stream_id()  # as in aioquic's own examples
        self._quic.send_stream_data(stream, b"GET /\r\n", end_stream=True)
        self.transmit()

    def move(self) -> None:
        self._transport = Socket(self)

    def datagram_received(self, data: bytes, address: object) -> None:
        if self.moves == "during":
            self.moves = None
            self.move()
        super().datagram_received(data, address)

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived) and event.end_stream and not self.page.done():
            self.page.set_result(None)
        if isinstance(event, HandshakeCompleted):
            print("early data accepted" if event.early_data_accepted else "handshake complete", flush=True)


def configuration(asked: argparse.Namespace, *, is_client: bool) -> QuicConfiguration:
    return QuicConfiguration(
        is_client=is_client,
        alpn_protocols=[asked.alpn],
        supported_versions=[VERSIONS[one] for one in asked.versions.split(",")],
    )


async def be_server(asked: argparse.Namespace) -> None:
    settings = configuration(asked, is_client=False)
    settings.load_cert_chain(asked.certificate, asked.key)
    tickets: dict[bytes, object] = {}
    await serve(
        asked.host,
        asked.port,
        configuration=settings,
        create_protocol=Server,
        session_ticket_fetcher=tickets.get,
        session_ticket_handler=lambda ticket: tickets.__setitem__(ticket.ticket, ticket),
        retry=asked.retry,
    )
    await asyncio.Event().wait()


async def be_client(asked: argparse.Namespace, keys: TextIO) -> None:
    settings = configuration(asked, is_client=True)
    settings.server_name = "localhost"
    settings.quantum_readiness_test = asked.large
    if asked.first:
        settings.original_version = VERSIONS[asked.first]
    if asked.authority:
        settings.load_verify_locations(asked.authority)
    else:
        settings.verify_mode = ssl.CERT_REQUIRED
    saved = Path(asked.session) if asked.session else None
    if saved is not None and saved.exists():
        settings.session_ticket = pickle.loads(saved.read_bytes())  # noqa: S301  # written by this program
    keep = None if saved is None else lambda ticket: saved.write_bytes(pickle.dumps(ticket))
    settings.secrets_log_file = keys
    async with connect(
        asked.host,
        asked.port,
        configuration=settings,
        create_protocol=partial(Client, moves=asked.moves),
        session_ticket_handler=keep,
        wait_connected=settings.session_ticket is None,
    ) as client:
        client.ask()
        await asyncio.wait_for(client.page, timeout=10)
        if asked.moves == "after":
            client.move()
            client.expect()
            client.ask()
            await asyncio.wait_for(client.page, timeout=10)
        await asyncio.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description="Speak QUIC.")
    parser.add_argument("role", choices=["server", "client"])
    parser.add_argument("--host", default="::1")
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--alpn", default="hq-interop")
    parser.add_argument("--versions", default="1,2")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--retry", action="store_true")
    parser.add_argument("--authority")
    parser.add_argument("--keys")
    parser.add_argument("--first")
    parser.add_argument("--session")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--moves", choices=["during", "after"])
    asked = parser.parse_args()
    if asked.role == "server":
        asyncio.run(be_server(asked))
        return
    # A server that refuses is what some samples show.
    with Path(asked.keys).open("a", encoding="ascii") as keys, contextlib.suppress(ConnectionError):
        asyncio.run(be_client(asked, keys))


if __name__ == "__main__":
    main()
