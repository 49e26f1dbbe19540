"""The kernel: what touches every packet, and what every handshake needs, written in Cython's pure Python mode.

These modules are compiled when tlsdissect is installed; without a C compiler the same files run as they are, more
slowly. `tests/test_kernel.py` holds the rules that make both give the same results.
"""

from __future__ import annotations

from importlib.machinery import ExtensionFileLoader
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
    "tlsdissect.handshake.facts.negotiation",
    "tlsdissect.handshake.facts.refill",
    "tlsdissect.handshake.facts.timing",
    "tlsdissect.handshake.log",
    "tlsdissect.handshake.logged",
    "tlsdissect.handshake.plaintext",
    "tlsdissect.handshake.record_cursor",
    "tlsdissect.handshake.segments",
    "tlsdissect.handshake.tracker",
    "tlsdissect.tls.hello_cache",
    "tlsdissect.tls.record",
    "tlsdissect.tls.wire",
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
