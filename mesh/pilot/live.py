"""The part of the admin API about live calls: who calls whom, and what an edit would do to them."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aiohttp import web

from mesh.pilot import traffic
from mesh.pilot.admin import body_of, content_of, json_answer
from mesh.pilot.collecting import Collector
from mesh.pilot.compiling import Compiled
from mesh.pilot.dry_runs import DryRun, dry_runs
from mesh.pilot.pilot import Approve, Pilot
from mesh.pilot.rehearsing import HARMFUL, Seen, Side, rehearse, require_no_loss, size
from mesh.pilot.window import WINDOW_S, View
from services.contracts import MethodContract


class Live:
    """The calls of the last minutes, and the handlers."""

    def __init__(
        self, pilot: Pilot, collector: Collector, contracts: Mapping[str, MethodContract]
    ) -> None:
        self._pilot = pilot
        self._collector = collector
        self._contracts = contracts

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this part."""
        return [
            web.get("/v1/traffic", self.calls),
            web.get("/v1/dry-runs", self.dry_runs),
            web.post("/v1/rehearse", self.rehearse),
        ]

    async def guard(self) -> Approve:
        """Return what refuses an edit that denies live payments or loses the gateway's keys."""
        await self._collector.collect()

        def approve(before: Compiled, after: Compiled) -> None:
            require_no_loss(self._rehearsed(before, after))

        return approve

    async def calls(self, request: web.Request) -> web.Response:
        """Return the calls of the last seconds by callee, and on demand by method."""
        wanted_s = float(request.query.get("seconds", f"{WINDOW_S:g}"))
        if not 0 < wanted_s <= WINDOW_S:
            raise ValueError(f"seconds must be more than 0 and at most {WINDOW_S:g}")
        await self._collector.collect()
        compiled, view = self._pilot.state.compiled, self._view(wanted_s)
        show = traffic.by_method if request.query.get("by") == "method" else traffic.by_callee
        edges = await asyncio.to_thread(show, view, compiled.mesh) if compiled else []
        return json_answer({"seconds": view.seconds, "edges": [_edge(each) for each in edges]})

    async def dry_runs(self, _: web.Request) -> web.Response:
        """Return which calls of the window policies in dry run have matched."""
        await self._collector.collect()
        compiled, view = self._pilot.state.compiled, self._view()
        found: list[DryRun] = []
        if compiled is not None:
            found = dry_runs(compiled.mesh, view, traffic.by_method(view, compiled.mesh))
        return json_answer({"seconds": view.seconds, "policies": [_dry_run(e) for e in found]})

    async def rehearse(self, request: web.Request) -> web.Response:
        """Return what a configuration would do to the calls of the window; nothing changes."""
        content = content_of(await body_of(request))
        await self._collector.collect()
        after = await self._pilot.check(content)
        before = self._pilot.state.compiled
        view = self._view_of_edits()
        edges, calls = size(traffic.by_method(view, before.mesh) if before else [])
        found = self._rehearsed(before, after) if before else []
        return json_answer(
            {
                "seconds": view.seconds,
                "earlier": view.earlier,
                "edges": edges,
                "calls": calls,
                "effects": [_seen(each) for each in found],
            }
        )

    def _rehearsed(self, before: Compiled, after: Compiled) -> list[Seen]:
        return rehearse(
            Side(before.mesh, before.nodes),
            Side(after.mesh, after.nodes),
            traffic.by_method(self._view_of_edits(), before.mesh),
            self._contracts,
            issuer_is_down=self._collector.window.issuer_is_down,
        )

    def _view(self, wanted_s: float = WINDOW_S) -> View:
        return self._collector.window.view(self._collector.now_s(), wanted_s)

    def _view_of_edits(self) -> View:
        """Return the calls on which edits are rehearsed.

        The first minutes of this process may have few calls, so those from before count too.
        """
        return self._collector.window.view(self._collector.now_s(), earlier=True)


def _edge(edge: traffic.LiveEdge) -> dict[str, Any]:
    return {
        **asdict(edge),
        "per_second": edge.per_second,
        "failed_percent": edge.failed_percent,
        "unanswered_percent": edge.unanswered_percent,
    }


def _dry_run(found: DryRun) -> dict[str, Any]:
    return {**asdict(found), "verdict": found.verdict.name}


def _seen(seen: Seen) -> dict[str, Any]:
    return {**asdict(seen), "harmful": seen.effect in HARMFUL}
