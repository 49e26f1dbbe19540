"""A network interface of Linux, by name (netdevice(7)): asking needs no right."""

from __future__ import annotations

import fcntl
import socket
import struct

_SIOCGIFFLAGS, _SIOCGIFHWADDR = 0x8913, 0x8927
_IFF_UP = 1
_REQUEST = struct.Struct("16sH14x")
"""`struct ifreq` with what both requests fill first: flags, or the family of the hardware address."""
ETHERNET, LOOPBACK = 1, 772
"""Hardware types (ARPHRD_ETHER, ARPHRD_LOOPBACK) of interfaces whose frames have Ethernet's header."""


def index(name: str) -> int | None:
    """Tell the number of an interface, which it keeps for its life; None: there is none of this name."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def hardware(name: str) -> int:
    """Tell the hardware type of an interface; raises OSError where there is none of this name."""
    return _asked(name, _SIOCGIFHWADDR)


def is_up(name: str) -> bool:
    """Tell whether an interface is up; one that is not there is not."""
    try:
        return bool(_asked(name, _SIOCGIFFLAGS) & _IFF_UP)
    except OSError:
        return False


def _asked(name: str, request: int) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        _, told = _REQUEST.unpack(fcntl.ioctl(asking, request, _REQUEST.pack(name.encode()[:15], 0)))
    return int(told)
