"""Properties of a Linux network interface, by name (netdevice(7)); reading them needs no privileges."""

from __future__ import annotations

import fcntl
import socket
import struct
from functools import cache

_SIOCGIFFLAGS, _SIOCGIFHWADDR, _SIOCGIFINDEX = 0x8913, 0x8927, 0x8933
_IFF_UP = 1
_SHORT, _NUMBER = struct.Struct("16sH22x"), struct.Struct("16si20x")
"""`struct ifreq` with what a request fills in: flags or the family of the hardware address, or the index."""
ETHERNET, LOOPBACK = 1, 772
"""Hardware types (ARPHRD_ETHER, ARPHRD_LOOPBACK) of interfaces whose frames have Ethernet's header."""


def index(name: str) -> int | None:
    """Return the index of an interface, which never changes while it exists; None if no interface has this name."""
    try:
        return _query(name, _SIOCGIFINDEX, _NUMBER)
    except OSError:
        return None


def hardware(name: str) -> int:
    """Return the hardware type of an interface; raises OSError if no interface has this name."""
    return _query(name, _SIOCGIFHWADDR, _SHORT)


def is_up(name: str) -> bool:
    """Return whether an interface exists and is up."""
    try:
        return bool(_query(name, _SIOCGIFFLAGS, _SHORT) & _IFF_UP)
    except OSError:
        return False


def _query(name: str, request: int, answer: struct.Struct) -> int:
    _, value = answer.unpack(fcntl.ioctl(_handle(), request, answer.pack(name.encode()[:15], 0)))
    return int(value)


@cache
def _handle() -> int:
    """Open a socket to ask with, for good: a process that parses packets may open none."""
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()
