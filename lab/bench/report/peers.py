"""Comparable systems and their measured speed on a similar machine, two quiet cores.

All are measured with 32 connections, except where `what` says "published". One unit of each system
is less work than one transfer of the bank; `what` describes the unit.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """One system."""

    name: str
    what: str
    """What one of its units is."""
    least_per_s: float
    most_per_s: float
    p99: str = ""
    """Measured 99th percentile of the latency."""
    remark: str = ""


SYSTEMS = (
    Peer("Blnk", "one posting", 537, 537, "228 ms", "42/s through one hot account"),
    Peer(
        "Formance",
        "one bare posting",
        316,
        329,
        "187 ms",
        "minimal features 437/s, 158 ms; 28 to 131/s through one hot account",
    ),
    Peer(
        "Bank of Anthos",
        "one bare row, no TLS, no events",
        400,
        816,
        "120 to 211 ms",
        "up to 50 of 50 concurrent debits of a whole balance accepted; 122 to 165 of 200 cached "
        "balances wrong",
    ),
    Peer("Mojaloop", "a transfer; published, for two vCPUs", 16.6, 16.6, "", "8.3/s a vCPU"),
)
"""Whole systems."""

FUNCTIONS = (
    Peer("pgledger", "its SQL function", 2647, 2979, "", "hot 1,192 to 1,662/s"),
    Peer(
        "TPC-B", "pgbench's own transaction", 3773, 5788, "", "the higher with prepared statements"
    ),
)
"""Functions in PostgreSQL, comparable with the ledger's."""
