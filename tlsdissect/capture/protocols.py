"""Numbers of the next header: EtherTypes, and the numbers of other registries, each with a base in the upper bits.

One number space for all registries lets one loop read every header. 0 means that no readable header follows.
"""

from __future__ import annotations

IP_PROTOCOL = 0x1_0000
"""Base of IP's protocol numbers."""
PPP_PROTOCOL = 0x2_0000
"""Base of PPP's protocol numbers."""
LINK_TYPE = 0x3_0000
"""Base of the link types of captures (tcpdump.org/linktypes)."""
INTERNAL = 0x4_0000
"""Base of headers that are in no registry, or in several."""

IPV4, IPV6, MPLS = 0x0800, 0x86DD, 0x8847
VLAN, SERVICE_VLAN = 0x8100, 0x88A8
PPPOE = 0x8864
NSH = 0x894F
EAPOL, PREAUTHENTICATION = 0x888E, 0x88C7
"""EAP over a LAN (IEEE 802.1X-2020 section 11.1.4, IEEE 802.11-2020 section 12.6.8.2)."""
ETHERNET, IEEE_802_11 = LINK_TYPE + 1, LINK_TYPE + 105
TCP, UDP, GRE = IP_PROTOCOL + 6, IP_PROTOCOL + 17, IP_PROTOCOL + 47

_INTERNAL_NUMBERS = iter(range(INTERNAL + 1, INTERNAL + 64))
PPP, LLC, SNAP, IP, PSEUDOWIRE = (next(_INTERNAL_NUMBERS) for _ in range(5))
IEEE_802_11_PADDED, IEEE_802_11_SWAPPED = next(_INTERNAL_NUMBERS), next(_INTERNAL_NUMBERS)
VXLAN, VXLAN_GPE, GENEVE, GTP, TEREDO, L2TP, L2TP_3 = (next(_INTERNAL_NUMBERS) for _ in range(7))
CAPWAP, TZSP, AYIYA, SFLOW = (next(_INTERNAL_NUMBERS) for _ in range(4))
