"""Handshakes of `openssl s_server` and `s_client` with each other, as a relay between them sees what is sent."""

from __future__ import annotations

import contextlib
import selectors
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from conversing import CLIENT, SERVER, Talk, write
from recorded import need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30.0  # seconds that any one step may take
QUIET = 1.5  # seconds after which nobody is expected to say something unasked
_CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = localhost
[self]
basicConstraints = critical, CA:true
subjectAltName = DNS:localhost
"""


def certificate(folder: Path, name: str = "own") -> list[str]:
    """A certificate that signs itself, and its key, as arguments of `s_server` and `s_client`."""
    config, key, signed = (folder / f"{name}.{end}" for end in ("cnf", "key", "pem"))
    config.write_text(_CONFIG)
    command = [need("openssl"), "req", "-x509", "-config", config, "-extensions", "self", "-nodes", "-days", "3650"]
    command += ["-newkey", "rsa:2048", "-keyout", key, "-out", signed]
    subprocess.run(command, capture_output=True, check=True, timeout=60)
    return ["-cert", str(signed), "-key", str(key)]


def relayed(place: Path, accepts: list[str], offers: list[str], says: bytes = b"") -> Path:
    """A capture of one connection; whoever closes first is the one that a FIN comes from."""
    with _server(accepts) as port, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        command = [need("openssl"), "s_client", "-connect", address, "-servername", "localhost", *offers]
        command += [] if says else ["-ign_eof"]  # with it, what is typed is no command
        with _running(command) as asking:
            mine, _ = listener.accept()
            with mine, socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as other:
                assert asking.stdin is not None
                told = list(_relay(mine, other, asking, says))
    return write(place, Talk(told, 0, 5, 50_000))


def _relay(
    mine: socket.socket, other: socket.socket, asking: subprocess.Popen[bytes], says: bytes
) -> Iterator[tuple[int, bytes]]:
    """Pass on what comes until one side ends; type to the client what it is to say, a line at a time."""
    lines = says.splitlines(keepends=True)
    with selectors.DefaultSelector() as ready:
        ready.register(mine, selectors.EVENT_READ, (CLIENT, other))
        ready.register(other, selectors.EVENT_READ, (SERVER, mine))
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            # Both wait: it is for the client's user to say something.
            events = ready.select(QUIET)
            if not events:
                if not lines:
                    return
                asking.stdin.write(lines.pop(0))  # type: ignore[union-attr]
                asking.stdin.flush()  # type: ignore[union-attr]
            for key, _ in events:
                sender, receiver = key.data
                data = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                if not data:
                    return
                yield sender, data
                with contextlib.suppress(BrokenPipeError):
                    receiver.sendall(data)


@contextlib.contextmanager
def _server(accepts: list[str]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with _running([need("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", *accepts]) as serving:
        end = time.monotonic() + PATIENCE
        while f":{port:04X} 00000000:0000 0A" not in _listening():
            assert serving.poll() is None, "openssl s_server ended"
            assert time.monotonic() < end
            time.sleep(0.02)
        yield port


def _listening() -> str:
    """The kernel's table, so that no connection is made to find out."""
    with open("/proc/net/tcp", encoding="ascii") as table:  # noqa: PTH123
        return table.read()


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()
