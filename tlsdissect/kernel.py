"""The kernel: what touches every packet, and what every handshake needs, written in Cython's pure Python mode.

These modules are compiled when tlsdissect is installed; without a C compiler the same files run as they are, more
slowly. `tests/test_kernel.py` holds the rules that make both give the same results.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import find_spec

MODULES = (
    "tlsdissect.capture.frames",
    "tlsdissect.capture.headers",
    "tlsdissect.capture.interfaces",
    "tlsdissect.capture.ip",
    "tlsdissect.capture.link",
    "tlsdissect.capture.octets",
    "tlsdissect.capture.packet",
    "tlsdissect.capture.pcap",
    "tlsdissect.capture.pcapng",
    "tlsdissect.capture.reader",
    "tlsdissect.capture.ring_frames",
    "tlsdissect.capture.transport",
    "tlsdissect.capture.tunnels",
    "tlsdissect.capture.window",
    "tlsdissect.flows.budget",
    "tlsdissect.flows.flow",
    "tlsdissect.flows.reassembly",
    "tlsdissect.flows.sequence",
    "tlsdissect.flows.table",
    "tlsdissect.flows.totals",
    "tlsdissect.flows.udp",
    "tlsdissect.handshake.connections",
    "tlsdissect.handshake.copies",
    "tlsdissect.handshake.crypto_stream",
    "tlsdissect.handshake.datagrams",
    "tlsdissect.handshake.decryption",
    "tlsdissect.handshake.direction",
    "tlsdissect.handshake.encrypted_flight",
    "tlsdissect.handshake.events",
    "tlsdissect.handshake.facts.connection",
    "tlsdissect.handshake.facts.endings",
    "tlsdissect.handshake.facts.exposure",
    "tlsdissect.handshake.facts.handshake",
    "tlsdissect.handshake.facts.hello_extensions",
    "tlsdissect.handshake.facts.hello_fingerprints",
    "tlsdissect.handshake.facts.hellos",
    "tlsdissect.handshake.facts.hidden",
    "tlsdissect.handshake.facts.negotiation",
    "tlsdissect.handshake.facts.refill",
    "tlsdissect.handshake.facts.text",
    "tlsdissect.handshake.facts.timing",
    "tlsdissect.handshake.key_schedule",
    "tlsdissect.handshake.log",
    "tlsdissect.handshake.logged",
    "tlsdissect.handshake.opening",
    "tlsdissect.handshake.plaintext",
    "tlsdissect.handshake.protection",
    "tlsdissect.handshake.quic",
    "tlsdissect.handshake.quic_decryption",
    "tlsdissect.handshake.quic_handshake",
    "tlsdissect.handshake.quic_keys",
    "tlsdissect.handshake.record_cursor",
    "tlsdissect.handshake.recording",
    "tlsdissect.handshake.segments",
    "tlsdissect.handshake.sessions",
    "tlsdissect.handshake.tracker",
    "tlsdissect.tls.code_point_lists",
    "tlsdissect.tls.hello_cache",
    "tlsdissect.tls.quic_packets",
    "tlsdissect.tls.record",
    "tlsdissect.tls.wire",
    "tlsdissect.x509.der",
)
"""The modules of the kernel. `setup.py` compiles them, and each has a `.pxd` beside it."""


def is_compiled(module: str) -> bool:
    """Tell whether importing a module gives its compiled form."""
    spec = find_spec(module)
    return spec is not None and isinstance(spec.loader, ExtensionFileLoader)


def describe() -> str:
    """Return `compiled`, `pure Python`, or how many of the modules are compiled: `compiled 6 of 8`."""
    compiled = sum(is_compiled(module) for module in MODULES)
    if compiled == len(MODULES):
        return "compiled"
    return f"compiled {compiled} of {len(MODULES)}" if compiled else "pure Python"


SOURCES = "kernel_sources.txt"
"""The file beside this one with the digest of what each module was compiled from. `setup.py` writes it."""
_ONE_BUILD = 2.0
"""Seconds by which files that were installed together may differ in their time."""
_FOLDER = os.path.dirname(__file__)  # noqa: PTH120 (start-up time)


def digest(path: str) -> str:
    """Return the digest of the sources of a module, given its path without a suffix."""
    from hashlib import sha256  # noqa: PLC0415 (start-up time)

    found = sha256()
    for suffix in (".py", ".pxd"):
        with open(path + suffix, "rb") as file:  # noqa: PTH123
            found.update(file.read())
    return found.hexdigest()


def read_digests(path: str) -> dict[str, str]:
    """Return the digests in a file of that name, by module."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            return dict(line.split() for line in file)
    except (OSError, ValueError):
        return {}


def stale() -> list[str]:
    """Return the compiled modules whose sources have changed since.

    Times of files only tell what to look at, since those of an installed wheel mean nothing.
    """
    newer = [module for module in MODULES if _is_newer(_path(module))]
    known = read_digests(os.path.join(_FOLDER, SOURCES)) if newer else {}  # noqa: PTH118
    return [module for module in newer if module in known and known[module] != digest(_path(module))]


def _path(module: str) -> str:
    return os.path.join(_FOLDER, *module.split(".")[1:])  # noqa: PTH118


def _is_newer(path: str) -> bool:
    """Tell whether a source is newer than the compiled module."""
    try:
        compiled = os.stat(path + EXTENSION_SUFFIXES[0]).st_mtime  # noqa: PTH116
        return any(os.stat(path + suffix).st_mtime > compiled + _ONE_BUILD for suffix in (".py", ".pxd"))  # noqa: PTH116
    except OSError:
        return False


@cache
def refuse_stale() -> None:
    """Raise ImportError if the kernel was compiled from other sources than those that are here.

    Modules of several versions crash in each other, or give the facts of none.
    """
    found = stale()
    if found:
        root = os.path.dirname(_FOLDER)  # noqa: PTH120
        can_build = os.path.exists(os.path.join(root, "setup.py"))  # noqa: PTH110, PTH118
        command = f"pip install -e {root}" if can_build else "pip install --force-reinstall tlsdissect"
        raise ImportError(f"{found[0]} has changed since the kernel was compiled: run {command}")
