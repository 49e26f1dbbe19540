"""Properties of a Linux network interface, by name (netdevice(7)); reading them needs no privileges."""

from __future__ import annotations

import fcntl
import socket
import struct

_SIOCGIFFLAGS, _SIOCGIFHWADDR = 0x8913, 0x8927
_IFF_UP = 1
_REQUEST = struct.Struct("16sH14x")
"""`struct ifreq` up to the field that either request fills first: flags, or the family of the hardware address."""
ETHERNET, LOOPBACK = 1, 772
"""Hardware types (ARPHRD_ETHER, ARPHRD_LOOPBACK) of interfaces whose frames have Ethernet's header."""


def index(name: str) -> int | None:
    """Return the index of an interface, which never changes while it exists; None if no interface has this name."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def hardware(name: str) -> int:
    """Return the hardware type of an interface; raises OSError if no interface has this name."""
    return _query(name, _SIOCGIFHWADDR)


def is_up(name: str) -> bool:
    """Return whether an interface exists and is up."""
    try:
        return bool(_query(name, _SIOCGIFFLAGS) & _IFF_UP)
    except OSError:
        return False


def _query(name: str, request: int) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        _, value = _REQUEST.unpack(fcntl.ioctl(handle, request, _REQUEST.pack(name.encode()[:15], 0)))
    return int(value)
