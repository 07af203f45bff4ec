"""The relay's metrics for Prometheus, served on a second Unix socket."""

from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """The figures for alerts: backlog, age, published events and parked events."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.waiting = Gauge(
            "bp_outbox_waiting_rows",
            "Events not yet published, counted up to 100000",
            registry=self.registry,
        )
        self.oldest_age_s = Gauge(
            "bp_outbox_oldest_age_seconds",
            "Age of the oldest event not yet published",
            registry=self.registry,
        )
        self.parked = Gauge(
            "bp_outbox_parked_rows",
            "Events that can never be published and wait for an operator",
            registry=self.registry,
        )
        self.leading = Gauge(
            "bp_outbox_relay_leading",
            "1 while this process is the active relay",
            registry=self.registry,
        )
        self.notifications_used = Gauge(
            "bp_notification_queue_usage_ratio",
            "Part of the cluster's queue of notifications that is in use, from 0 to 1",
            registry=self.registry,
        )
        self.published = Counter(
            "bp_outbox_published", "Events published", ["topic"], registry=self.registry
        )
        self.batches = Counter("bp_outbox_batches", "Batches sent", registry=self.registry)


async def serve(metrics: Metrics, socket: Path) -> web.AppRunner:
    """Serve GET /metrics on a socket until the returned runner is cleaned up."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.registry),
            headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4},
        )

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    socket.unlink(missing_ok=True)
    await web.UnixSite(runner, str(socket)).start()
    return runner
