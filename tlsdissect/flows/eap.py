"""EAP conversations (RFC 3748) in IEEE 802.1X and in RADIUS, numbered in the order of their first packets.

Goal: find the conversation of each EAP packet, in bounded memory, although nothing on the wire names it. On a LAN, a
supplicant has one conversation at a time, so its MAC address finds it. In RADIUS, many conversations share the
addresses of a network access server and of a RADIUS server; they are told apart as RADIUS itself does:

- an answer belongs to the request with its identifier between the same two ports (RFC 2865 section 3);
- a request that returns a State continues the conversation in which that State was sent (RFC 2865 section 5.24);
- a request without State begins a conversation, unless it repeats one or answers the EAP-Request that the same
  supplicant received last.

EAP is in lockstep: the server sends a Request, the supplicant answers it by a Response with its identifier, and Success
or Failure ends the conversation. So a Request for an identity, or the start of a method after TLS began, begins a new
conversation, and so does any packet after the end that is no repetition.

Conversations are queued in the order of their latest packets, so finding those that are over costs O(1) per packet.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tlsdissect.capture.packet import UDP, opposite
from tlsdissect.flows.budget import Budget
from tlsdissect.flows.flow import NEVER, UNKNOWN
from tlsdissect.flows.limits import nanoseconds
from tlsdissect.flows.radius import ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_REQUEST, RadiusPacket, read_radius
from tlsdissect.flows.table import DEFAULTS, WHOLE, Shard
from tlsdissect.flows.totals import Totals

if TYPE_CHECKING:
    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.limits import Limits

    Key = tuple[str | bytes | int, ...]

METHODS = {13: "EAP-TLS", 21: "EAP-TTLS", 25: "PEAP", 43: "EAP-FAST", 55: "TEAP"}
"""EAP methods that carry TLS, by type (IANA's "Method Types"): RFC 5216, RFC 5281, draft-josefsson-pppext-eap-tls-eap,
RFC 4851, RFC 7170. All share the flags of EAP-TLS (RFC 5216 section 3.1)."""
MAX_CONVERSATIONS = 1 << 16
"""Maximum number of EAP conversations in memory."""
KNOWN_BYTES = 2048
"""Estimated bytes of a conversation in the table."""
KEY_BYTES = 512
"""Estimated bytes of each key in the table: a conversation has several."""
MAX_START_BYTES = 1024
"""Maximum bytes of the Start of a method that is kept for the packet after it."""
MAX_IDENTITY_BYTES = 253
"""Bytes kept of an identity: as many as the User-Name of RADIUS can have."""

REQUEST, RESPONSE, SUCCESS, FAILURE = range(1, 5)
"""Codes of EAP (RFC 3748 section 4)."""
START = 0x20
"""The flag with which a server starts a method that carries TLS (RFC 5216 section 3.1)."""
_IDENTITY = 1
"""The type of a Request for an identity and of its Response (RFC 3748 section 5.1)."""
_EXPANDED = 254
"""The expanded type: a vendor ID, 0 for the IETF, and a type of four bytes follow (RFC 3748 section 5.7)."""
_HEADER = 4
_RESULTS = {ACCESS_ACCEPT: SUCCESS, ACCESS_REJECT: FAILURE}
_KEYS = 32
"""Latest keys of a conversation by which its packets find it."""
_GROUPED = 8
"""Latest conversations of which frames lacked the supplicant's address."""
_REPEATED = 8
"""Latest packets of a conversation of which repetitions are recognised."""


class EapPacket(NamedTuple):
    """An EAP packet (RFC 3748 section 4)."""

    code: int
    identifier: int
    method: int
    """The type of a Request or Response, also if it is in an expanded type; 0 in other packets."""
    body: bytes
    """The captured bytes after the type."""
    size: int
    """Bytes after the type on the wire."""
    at: int
    """Where the body begins in the EAP packet."""

    @property
    def carries_tls(self) -> bool:
        """Whether it is of a method that carries TLS."""
        return self.method in METHODS and self.size > 0

    @property
    def is_start(self) -> bool:
        """Whether it starts a method that carries TLS."""
        return self.code == REQUEST and self.carries_tls and self.body[:1] != b"" and self.body[0] & START != 0


def read_eap(data: bytes, size: int) -> EapPacket | None:
    """Read the captured bytes of an EAP packet in a frame or message of `size` bytes; None if it is malformed."""
    length = int.from_bytes(data[2:4], "big")
    if len(data) < _HEADER or not _HEADER <= length <= size or not REQUEST <= data[0] <= FAILURE:
        return None
    data = data[:length]
    if data[0] in (SUCCESS, FAILURE):
        return EapPacket(data[0], data[1], 0, b"", 0, _HEADER)
    at = _HEADER + 1
    if len(data) < at:
        return None
    method = data[_HEADER]
    if method == _EXPANDED and data[at : at + 6] == bytes(6) and len(data) >= at + 7:
        at += 7
        method = data[at - 1]
    return EapPacket(data[0], data[1], method, data[at:], length - at, at)


class EapConversation(Totals):
    """An EAP conversation: who takes part in it, and how far it is."""

    def __init__(self, endpoints: bytes, stream: int, carrier: Literal["eapol", "radius"]) -> None:
        """`endpoints` are those of a RADIUS request, else empty: the supplicant's side is side 0."""
        super().__init__(endpoints, stream)
        self.carrier = carrier
        self.supplicant = b""
        """Its MAC address, or the Calling-Station-Id; empty if unknown."""
        self.authenticator = b""
        """Its MAC address, or the Called-Station-Id; empty if unknown."""
        self.identity: bytes | None = None
        """The latest outer identity."""
        self.method = 0
        """The method that was started last of those that carry TLS; 0 before that."""
        self.result = 0
        """SUCCESS or FAILURE; 0 before that."""
        self.result_frame = 0
        """The frame of the result."""
        self.follower: Any = None
        """What follows its TLS connection; None while there is none."""
        self.is_followed = False
        """Whether its TLS connection is or was followed; one that was given up or returned is not followed again."""
        self.is_decoded = False
        """Whether its TLS connection was returned."""
        self.latest = 0
        """The clock at its end, before that at its latest packet."""
        self.keys: dict[Key, None] = {}
        """The latest keys by which the table finds it."""
        self.size = 0
        """The bytes that it counts in the table."""
        self.station = b""
        """The Calling-Station-Id or else the User-Name of its RADIUS requests."""
        self.method_start: EapPacket | None = None
        """The latest Start of a method; None if that is longer than MAX_START_BYTES."""
        self.requested = self.responded = False
        """Whether there are Requests, and Responses."""
        self.counts_up = False
        """Whether the identifier of a Request was that of the one before it plus 1."""
        self._identifier = UNKNOWN
        """That of the latest Request."""
        self._answered = False
        """Whether the latest Request was answered."""
        self._has_method = False
        """Whether a method other than Identity was requested."""
        self._has_tls = False
        """Whether a packet with TLS came after the start of the method."""
        self._latest: deque[int] = deque(maxlen=_REPEATED)
        """Hashes of the latest packets."""

    def repeats(self, eap: EapPacket) -> bool:
        """Return whether this is one of the latest packets again (RFC 3748 section 4.1)."""
        return hash(eap) in self._latest

    def awaits(self, eap: EapPacket) -> bool:
        """Return whether a Response has the identifier of the latest Request."""
        return self.result == 0 and eap.code == RESPONSE and eap.identifier == self._identifier

    @property
    def is_begun(self) -> bool:
        """Whether a method was requested."""
        return self._has_method

    def is_next(self, eap: EapPacket) -> bool:
        """Return whether a packet has the identifier that comes next if they count up.

        Success and Failure have that of the Response before them (RFC 3748 section 4.2).
        """
        if eap.code == RESPONSE:
            return self.awaits(eap)
        if eap.code == REQUEST and not self._answered and self._has_method:
            return False
        return self._identifier == (eap.identifier - (eap.code == REQUEST)) % 256

    def goes_on_with(self, eap: EapPacket) -> bool:
        """Return whether a packet belongs to this conversation, not to the next one of the same supplicant."""
        if self.repeats(eap):
            return True
        if self.result:
            return False
        if eap.method == _IDENTITY:
            return not self._has_method
        return not (eap.is_start and self._has_tls)

    def take(self, eap: EapPacket) -> None:
        """Note a packet that is no repetition."""
        self._latest.append(hash(eap))
        self._answered = eap.code == RESPONSE
        if eap.code == REQUEST:
            self.counts_up = self.counts_up or eap.identifier == (self._identifier + 1) % 256
            if eap.is_start:
                self.method_start = eap if eap.size <= MAX_START_BYTES else None
            self._identifier = eap.identifier
            self._has_method = self._has_method or eap.method != _IDENTITY
        self.requested = self.requested or eap.code == REQUEST
        self.responded = self.responded or eap.code == RESPONSE
        if eap.code == RESPONSE and eap.method == _IDENTITY and len(eap.body) == eap.size:
            self.identity = eap.body[:MAX_IDENTITY_BYTES]
        if eap.code in (SUCCESS, FAILURE):
            self.result = eap.code
        if eap.carries_tls:
            self.method = eap.method
            self._has_tls = not eap.is_start


class EapTable:
    """The EAP conversations of a capture. All are numbered; only those of the table's shard are decoded."""

    def __init__(self, shard: Shard = WHOLE, limits: Limits = DEFAULTS, budget: Budget | None = None) -> None:
        """The `budget` is shared with other tables."""
        self.packet: EapPacket | None = None
        """The EAP packet that `find` read; None if it repeats an earlier one."""
        self.stream = UNKNOWN
        """The number of the conversation of the latest packet given to `find`; UNKNOWN if that carries no EAP."""
        self.spans: tuple[tuple[int, int], ...] = ()
        """Where that is in the payload of the captured packet: an offset and a number of bytes for each piece."""
        self._streams = 0
        self._known: dict[Key, EapConversation] = {}
        """By what its packets have in common; the first item of a key names its kind."""
        self._open: OrderedDict[int, EapConversation] = OrderedDict()
        """Conversations without result by number, the one that has been silent for longest first."""
        self._closed: OrderedDict[int, EapConversation] = OrderedDict()
        """Conversations with a result by number, in the order of their ends."""
        self.expires = NEVER
        """The clock after which the first conversation is over."""
        self._grouped: deque[EapConversation] = deque(maxlen=_GROUPED)
        """The latest conversations on a LAN that had a packet without the supplicant's address."""
        self._silent_after = nanoseconds(limits.udp_silent_after)
        self._closed_after = nanoseconds(limits.closed_after)
        self._number, self._of = shard
        self._budget = Budget(limits) if budget is None else budget
        self._size = 0
        """Estimated bytes of all conversations."""

    def has(self, conversation: EapConversation) -> bool:
        """Return whether a conversation belongs to this table's shard."""
        return conversation.stream % self._of == self._number

    def find(self, packet: Packet, clock: int) -> EapConversation | None:
        """Count a packet in its conversation and return that; None if the packet carries no EAP."""
        self.stream = UNKNOWN
        if packet.protocol == UDP:
            return self._in_radius(packet, clock)
        eap = read_eap(packet.captured_payload(), packet.length)
        if eap is None:
            return None
        self.spans = ((0, packet.captured),)
        return self._count(self._on_lan(packet, eap), packet, eap, clock)

    @property
    def is_full(self) -> bool:
        """Whether there are more conversations than are kept in memory."""
        return len(self._open) + len(self._closed) > MAX_CONVERSATIONS or self._budget.is_too_large(self._size)

    def over(self, clock: int) -> list[tuple[int, EapConversation]]:
        """Remove the conversations that are over; return each with the clock of its end, in the order of these.

        Beyond the limit, conversations with a result leave first, then those that have been silent for longest.
        """
        ended: list[tuple[int, EapConversation]] = []
        for queue, after in self._queues():
            while queue:
                conversation = next(iter(queue.values()))
                if conversation.latest + after >= clock:
                    break
                ended.append((conversation.latest + after, conversation))
                self._remove(queue, conversation)
        ended.sort(key=lambda one: (one[0], one[1].stream))
        while self.is_full:
            queue = self._closed or self._open
            conversation = next(iter(queue.values()))
            ended.append((clock, conversation))
            self._remove(queue, conversation)
        self._set_expiry()
        return ended

    def finish(self) -> list[EapConversation]:
        """Return the remaining conversations in the order of their numbers, at the end of the input."""
        return sorted([*self._open.values(), *self._closed.values()], key=lambda one: one.stream)

    def _set_expiry(self) -> None:
        """Set the clock after which the first conversation is over."""
        firsts = [next(iter(queue.values())).latest + after for queue, after in self._queues() if queue]
        self.expires = min(firsts, default=NEVER)

    def _queues(self) -> tuple[tuple[OrderedDict[int, EapConversation], int], ...]:
        return (self._open, self._silent_after), (self._closed, self._closed_after)

    def _in_radius(self, packet: Packet, clock: int) -> EapConversation | None:
        radius = read_radius(packet.captured_payload(), packet.length)
        if radius is None:
            return None
        # Of a cut packet, further EAP-Message attributes may be missing: the EAP header tells.
        eap = read_eap(radius.eap, int.from_bytes(radius.eap[2:4], "big") if radius.cut else len(radius.eap))
        if radius.code == ACCESS_REQUEST:
            found = None if eap is None else self._of_request(packet.endpoints, radius, eap)
        else:
            found = self._of_answer(opposite(packet.endpoints), radius, eap)
        if found is None:
            return None
        self.spans = radius.spans
        result = _RESULTS.get(radius.code, 0)
        return self._count(found, packet, eap, clock, result)

    def _of_request(self, endpoints: bytes, radius: RadiusPacket, eap: EapPacket) -> EapConversation:
        """Return the conversation of an Access-Request."""
        addresses, station = endpoints[:-4], radius.calling_station or radius.user_name
        # A Request Authenticator is unique (RFC 2865 section 3): with the same one, a request is a repetition.
        unique: Key = ("unique", endpoints, radius.authenticator)
        found = self._known.get(unique)
        if found is None:
            if radius.state:
                found = self._known.get(("state", addresses, radius.state, station))
            else:
                found = self._known.get(("station", addresses, station))
                if found is not None and not found.awaits(eap) and (found.is_begun or not found.repeats(eap)):
                    found = None
            if found is None or not found.goes_on_with(eap):
                found = self._add(endpoints, "radius")
        found.station = station
        found.supplicant = found.supplicant or radius.calling_station
        found.authenticator = found.authenticator or radius.called_station
        if found.identity is None and radius.user_name:
            found.identity = radius.user_name
        self._index(found, unique)
        self._index(found, ("request", endpoints, radius.identifier))
        self._index(found, ("station", addresses, station))
        return found

    def _of_answer(self, endpoints: bytes, radius: RadiusPacket, eap: EapPacket | None) -> EapConversation | None:
        """Return the conversation of an Access-Challenge, -Accept or -Reject; `endpoints` are those of the request."""
        found = self._known.get(("request", endpoints, radius.identifier))
        if found is None or (eap is not None and not found.goes_on_with(eap)):
            if eap is None:
                return None
            found = self._add(endpoints, "radius")
            self._index(found, ("request", endpoints, radius.identifier))
        if radius.state:
            self._index(found, ("state", endpoints[:-4], radius.state, found.station))
        return found

    def _on_lan(self, packet: Packet, eap: EapPacket) -> EapConversation:
        """Return the conversation of an EAP packet on a LAN."""
        destination, source = packet.endpoints[:6], packet.endpoints[6:12]
        supplicant, authenticator = (source, destination) if eap.code == RESPONSE else (destination, source)
        found = self._known.get(("mac", supplicant))
        if found is None or not found.goes_on_with(eap):
            found = self._without_address(eap, supplicant, authenticator) or self._add(b"", "eapol")
        if _is_station(supplicant):
            found.supplicant = found.supplicant or supplicant
            self._index(found, ("mac", supplicant))
        elif found not in self._grouped:
            self._grouped.append(found)
        if _is_station(authenticator):
            found.authenticator = found.authenticator or authenticator
        return found

    def _without_address(self, eap: EapPacket, supplicant: bytes, authenticator: bytes) -> EapConversation | None:
        """Return the conversation that a packet continues if a frame did not tell whose conversation that is.

        A frame to a group, or one in a cooked capture, lacks an address. The identifier tells then, if it fits one
        conversation only.
        """
        others = [one for one in self._grouped if one.goes_on_with(eap)]
        if _is_station(supplicant):
            others = [one for one in others if not one.supplicant and one.awaits(eap)]
        if _is_station(authenticator):
            others = [one for one in others if one.authenticator in (b"", authenticator)]
        fitting = [one for one in others if one.repeats(eap) or one.is_next(eap)]
        return fitting[0] if len(fitting) == 1 else None

    def _add(self, endpoints: bytes, carrier: Literal["eapol", "radius"]) -> EapConversation:
        """Add a conversation."""
        conversation = EapConversation(endpoints, self._streams, carrier)
        self._streams += 1
        return conversation

    def _index(self, conversation: EapConversation, key: Key) -> None:
        """Let the packets with a key find a conversation; the oldest of many keys finds it no longer."""
        self._known[key] = conversation
        conversation.keys.pop(key, None)
        conversation.keys[key] = None
        if len(conversation.keys) > _KEYS:
            self._forget(conversation, next(iter(conversation.keys)))

    def _forget(self, conversation: EapConversation, key: Key) -> None:
        del conversation.keys[key]
        if self._known.get(key) is conversation:
            del self._known[key]

    def _count(
        self, found: EapConversation, packet: Packet, eap: EapPacket | None, clock: int, result: int = 0
    ) -> EapConversation:
        """Count a packet in its conversation, which ends with `result` if that is not 0."""
        if found.packets == 0:
            found.begin(packet)
        found.add(packet)
        self.stream = found.stream
        self.packet = eap if eap is not None and not found.repeats(eap) else None
        if found.stream in self._closed:
            return found
        if self.packet is not None:
            found.take(self.packet)
        found.result = found.result or result
        found.result_frame = packet.frame if found.result else 0
        found.latest = clock
        if found.result:
            self._open.pop(found.stream, None)
            self._closed[found.stream] = found
        else:
            self._open[found.stream] = found
            self._open.move_to_end(found.stream)
        self._resize(found, KNOWN_BYTES + KEY_BYTES * len(found.keys))
        self._set_expiry()
        return found

    def _resize(self, conversation: EapConversation, size: int) -> None:
        """Count a conversation with so many bytes."""
        self._size += size - conversation.size
        self._budget.flow_bytes += size - conversation.size
        conversation.size = size

    def _remove(self, queue: OrderedDict[int, EapConversation], conversation: EapConversation) -> None:
        del queue[conversation.stream]
        for key in list(conversation.keys):
            self._forget(conversation, key)
        self._resize(conversation, 0)


def _is_station(address: bytes) -> bool:
    """Return whether a MAC address is that of one station, not of a group, and not missing."""
    return address[:1] != b"" and address[0] & 1 == 0 and any(address)
