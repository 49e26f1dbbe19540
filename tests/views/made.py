"""A connection made by hand, to be changed where a test wants it otherwise."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from recorded import ROOT

import tlsdissect

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection


@cache
def recorded() -> Connection:
    (one,) = tlsdissect.read(ROOT / "samples/tls12-full.pcap")
    return one


def made(**changes: Any) -> Connection:
    return replace(recorded(), **changes)
