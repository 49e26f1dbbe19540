"""TCP flows and counts of UDP flows, and the reassembly of each direction."""

from tlsdissect import kernel

kernel.refuse_stale()
