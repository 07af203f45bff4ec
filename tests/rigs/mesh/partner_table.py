"""A row of the design document's table of external systems, and its variants in a running mesh."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.rigs.host_speed import waited_out_s
from tests.rigs.mesh import partner_files as files
from tests.rigs.mesh.breaker import Breaker
from tests.rigs.mesh.partner_bench import Bench
from tests.rigs.mesh.partner_files import PartnerFiles
from tests.rigs.mesh.proxies import Rig
from tests.rigs.mesh.scripted_partner import Scenario, ScriptedPartner, Try

NEVER_OPENS = "never-opens"
SPACING = "spacing"
TIMEOUT = "timeout"
TRIES = "tries"
EJECTION = "ejection"
BROKEN = "broken"
REFERENCE = "reference"
VARIANTS = (NEVER_OPENS, SPACING, TIMEOUT, TRIES, EJECTION, BROKEN, REFERENCE)
"""The variants of each partner's host; `add_variants` says how they differ from it."""
BACKOFF_S = 0.25
"""The back-off of each row when waits are measured: a delay of the host is short against it."""
EJECTION_FACTOR = 1 / 30
INTERVAL = 0.25
"""Of the ejection time. An ejected host returns at the end of an interval."""
LONGER = 1.6
"""A time between one ejection with its interval and two ejections."""
LATER_BY = 1.25
"""A reference timeout is so much longer than the row's."""
QUERY = "?q=%2Fa%20b"
"""Of the first call; a proxy that rewrites it would break a signature."""
SERVER_ERRORS = (500, 502, 503, 504)


@dataclass(frozen=True)
class Row:
    """A row of the table, as one service sees it; times are in seconds."""

    system: str
    service: str
    host: str
    # The design document:
    speaks: str
    login: dict[str, str]
    timeout_s: float
    retries: int
    growth: tuple[int, ...]
    """The wait before each retry is drawn from 0 to this times the back-off."""
    failures: int
    open_s: float
    client: str = ""
    """The name in the bank's client certificate, if the row says mTLS."""
    # Not in the design document; the bank's own choice:
    try_s: float | None = None
    backoff_s: float | None = None
    retried: tuple[int, ...] = SERVER_ERRORS
    address: str = ""
    body: bytes = b'{"amount": 1}'

    @property
    def server(self) -> str:
        """The host at whose address the partner is reached, and whose name it gets."""
        return self.address or self.host


@dataclass
class Table:
    """The running sidecars, and the hosts of the variants."""

    bench: Bench
    files: PartnerFiles
    first: dict[str, Try] = field(default_factory=lambda: dict[str, Try]())
    """The first call to each unchanged host."""

    def partner(self, row: Row) -> ScriptedPartner:
        """Return the partner of a row."""
        return self.bench.partners[row.server]

    def scenario(self, row: Row, path: str, **more: Any) -> Scenario:
        """Begin a scenario of a row's partner."""
        return self.partner(row).scenario(path, **more)

    async def call(self, row: Row, path: str, variant: str = NEVER_OPENS, **headers: str) -> int:
        """Call a variant of a row's host, by default the one whose breaker never opens."""
        return await self.bench.call(row.service, hosts_of(row)[variant], path, row.body, **headers)

    def breaker(self, row: Row, variant: str | None = None) -> Breaker:
        """Return the breaker of a row's own host, or of a variant."""
        host = hosts_of(row)[variant] if variant else row.host
        return Breaker(self.bench, self.partner(row), row.service, host)


def hosts_of(row: Row) -> dict[str, str]:
    """Return the host of each variant."""
    return {name: f"{name}.{row.service}.{row.host}" for name in VARIANTS}


def short_timeout_s(row: Row) -> float:
    """Return how long the row's timeout is in the tests: as in the files, or shorter."""
    return min(row.timeout_s, waited_out_s(1.0))


def ejection_s(row: Row) -> float:
    """Return how long the row's breaker stays open in the tests."""
    return EJECTION_FACTOR * row.open_s


def add_variants(config: PartnerFiles, row: Row) -> None:
    """Add all variants of a row. The factors are of the table's values, not of the files'."""
    ejected_s, timeout_s = ejection_s(row), short_timeout_s(row)
    factor = timeout_s / row.timeout_s
    changes = {
        NEVER_OPENS: files.breaker_never_opens,
        SPACING: files.longer_backoff(BACKOFF_S / row.backoff_s if row.backoff_s else 1),
        TIMEOUT: files.shorter_timeouts(factor, of_tries=False),
        TRIES: files.shorter_timeouts(factor),
        EJECTION: files.shorter_ejection(EJECTION_FACTOR, INTERVAL),
        BROKEN: files.shorter_ejection(EJECTION_FACTOR, INTERVAL),
        REFERENCE: files.reference(LATER_BY * timeout_s, LONGER * ejected_s, ejected_s / 20),
    }
    for name, change in changes.items():
        assert config.add(name, row.host, row.service, change) == hosts_of(row)[name]


@asynccontextmanager
async def running_table(folder: Path, rows: tuple[Row, ...]) -> AsyncGenerator[Table]:
    """Start the partners and sidecars of all rows, and make the first call to each."""
    config = PartnerFiles(folder)
    for row in rows:
        add_variants(config, row)
    rig = Rig(config.folder)
    partners = {row.server: _partner(rig, row) for row in rows}
    made = Table(Bench(rig, partners), config)
    try:
        for partner in partners.values():
            await partner.start()
        await rig.start(sorted({row.service for row in rows}))
        for row in rows:
            first = made.scenario(row, f"/first/{row.host}")
            path = f"/first/{row.host}{QUERY}"
            await made.bench.call(row.service, row.host, path, row.body, **row.login)
            made.first[row.host] = first.tries[0]
        yield made
    finally:
        await made.bench.close()


def _partner(rig: Rig, row: Row) -> ScriptedPartner:
    return ScriptedPartner(
        rig.partner_port[row.server],
        rig.home / "partners" / row.server,
        rig.ach_members_ca.pem,
        speaks=row.speaks,
        strict=bool(row.client),
    )
