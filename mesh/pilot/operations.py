"""The part of the admin API that changes the mesh for a while: drained instances, limited edits."""

import asyncio
import contextlib
import logging
from dataclasses import asdict

from aiohttp import web

from mesh.controlplane.ingest import endpoints
from mesh.pilot.admin import (
    body_of,
    caller_of,
    content_of,
    is_forced,
    json_answer,
    number_of,
    revision_shown,
    text_of,
    why_of,
)
from mesh.pilot.compiling import Compiled
from mesh.pilot.config_folder import Content
from mesh.pilot.drained import Drained, instance_place, require_other
from mesh.pilot.expirer import Expirer
from mesh.pilot.expiring import SECONDS_MAX, Added, Expiry, without
from mesh.pilot.findings import Refused
from mesh.pilot.guarding import Guard, harm
from mesh.pilot.history import Entry, Origin, Revision
from mesh.pilot.pilot import Approve, Pilot
from mesh.pilot.places import Places

_NAME_CHARS_MAX = 100
log = logging.getLogger("control-plane")


def routes(
    places: Places, pilot: Pilot, drained: Drained, expirer: Expirer, guard: Guard
) -> list[web.RouteDef]:
    """Return the routes of this part."""
    api = _Operations(places, pilot, drained, expirer, guard)
    return [
        web.post("/v1/drain", api.drain),
        web.post("/v1/undrain", api.undrain),
        web.post("/v1/apply-for", api.apply_for),
        web.get("/v1/expiring", api.expiring),
        web.post("/v1/expire", api.expire),
    ]


class _Operations:
    """The handlers."""

    def __init__(
        self, places: Places, pilot: Pilot, drained: Drained, expirer: Expirer, guard: Guard
    ) -> None:
        self._places = places
        self._pilot = pilot
        self._drained = drained
        self._expirer = expirer
        self._guard = guard

    async def drain(self, request: web.Request) -> web.Response:
        """Let an instance finish its calls without new ones."""
        body = await body_of(request)
        instance, forced = text_of(body, "instance"), is_forced(body)
        known = await asyncio.to_thread(endpoints.read, self._places.endpoints)
        instance_place(known, instance)
        if not forced:
            require_other(known, self._drained.marks(), instance)
        before = self._drained.marks().get(instance)
        self._drained.mark(instance, forced=forced)
        try:
            await self._recompile()
        except (Refused, OSError):
            if before is None:
                self._drained.unmark(instance)
            else:
                self._drained.mark(instance, forced=before)
            raise
        log.info("%s drains %s%s", caller_of(request), instance, " by force" if forced else "")
        return json_answer({"instance": instance, "state": "DRAINING"})

    async def undrain(self, request: web.Request) -> web.Response:
        """Let an instance take calls again. It may be gone already."""
        instance = text_of(await body_of(request), "instance")
        self._drained.unmark(instance)
        await self._recompile()
        log.info("%s ends the drain of %r", caller_of(request), instance[:_NAME_CHARS_MAX])
        return json_answer({"instance": instance, "state": "READY"})

    async def _recompile(self) -> None:
        if findings := await self._pilot.recompile():
            raise Refused(list(findings))

    async def apply_for(self, request: web.Request) -> web.Response:
        """Put a configuration in force; after some time, remove the texts that were added.

        The removal goes ahead whatever it denies, so `ends` in the answer says it now.
        """
        body, who = await body_of(request), caller_of(request)
        content, why, seconds = content_of(body), why_of(body), body["seconds"]
        if type(seconds) not in (int, float) or not 0 < seconds <= SECONDS_MAX:
            raise ValueError(f"seconds must be more than 0 and at most {SECONDS_MAX:g}")
        added = tuple(Added(text_of(e, "file"), text_of(e, "text")) for e in body["added"])
        name, parent, forced = text_of(body, "name"), number_of(body, "parent"), is_forced(body)
        expiry = Expiry(name, self._expirer.now_s() + seconds, who, why, added)
        ended = without(content, added)
        end = None if ended == self._pilot.content else await self._pilot.check(ended)
        approve, ends = await self._guard(), list[str]()

        def approved(before: Compiled, after: Compiled) -> None:
            if not forced:
                approve(before, after)
            ends.extend(harm(approve, after, end or before))

        made = await self._apply_expiring(expiry, content, parent, approved)
        return json_answer(
            {"revision": revision_shown(made), "until_s": expiry.until_s, "ends": ends}
        )

    async def _apply_expiring(
        self, expiry: Expiry, content: Content, parent: int, approve: Approve
    ) -> Revision:
        entry = Entry(expiry.who, expiry.why, Origin.APPLY)
        # The entry comes first: a crash between the two leaves nothing in force without an end.
        self._expirer.add(expiry)
        with contextlib.ExitStack() as undo:
            undo.callback(self._expirer.drop, expiry.name)
            try:
                made = await self._pilot.apply(content, entry, parent=parent, approve=approve)
            except asyncio.CancelledError:
                # The process ends, and the text may be recorded already: the entry stays.
                undo.pop_all()
                raise
            undo.pop_all()
        return made

    async def expiring(self, _: web.Request) -> web.Response:
        """Return what is in force for a limited time."""
        return json_answer({"expiring": [asdict(each) for each in self._expirer.all()]})

    async def expire(self, request: web.Request) -> web.Response:
        """Remove now what would be removed later."""
        body, who = await body_of(request), caller_of(request)
        made = await self._expirer.remove(text_of(body, "name"), who, why_of(body))
        return json_answer({"revision": revision_shown(made) if made else None})
