"""The admin API, which `bpctl mesh` calls over a Unix socket.

Only the bank's own user can open the socket. The kernel says who called; a revision keeps it.
Every error is JSON: {"error": {"reason", "message", "findings"}}.
"""

import asyncio
import contextlib
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from typing import Any

import orjson
from aiohttp import web

from mesh.controlplane import model
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot
from mesh.pilot.config_folder import Content, FolderRefused
from mesh.pilot.differences import Change, decoded, differences
from mesh.pilot.drained import LastInstance, UnknownInstance
from mesh.pilot.expiring import UnknownExpiry
from mesh.pilot.explain import UnknownName, decide, describe, edges
from mesh.pilot.findings import Refused
from mesh.pilot.guarding import Guard
from mesh.pilot.history import Entry, Origin, Revision, UnknownRevision
from mesh.pilot.last_good import workload_of, workloads
from mesh.pilot.pilot import ParentChanged, Pilot
from mesh.pilot.proxies import Proxies
from mesh.pilot.rehearsing import CallsDenied, KeysLost

BODY_BYTES_MAX = 16 * 1024 * 1024
WAIT_S_MAX = 600.0
WHY_CHARS_MAX = 500


class NothingInForce(LookupError):
    """A question about the mesh came before the first configuration."""


_CREDENTIALS = struct.Struct("3i")
_STATUS: dict[type[Exception], tuple[int, str]] = {
    CallsDenied: (409, "LIVE_CALLS_DENIED"),
    Refused: (422, "CONFIG_REFUSED"),
    FolderRefused: (422, "CONFIG_REFUSED"),
    ParentChanged: (409, "REVISION_CHANGED"),
    UnknownRevision: (404, "UNKNOWN_REVISION"),
    UnknownName: (404, "UNKNOWN_NAME"),
    UnknownInstance: (404, "UNKNOWN_INSTANCE"),
    UnknownExpiry: (404, "UNKNOWN_EXPIRY"),
    LastInstance: (409, "LAST_INSTANCE"),
    KeysLost: (409, "TOKEN_KEYS_LOST"),
    NothingInForce: (409, "NOTHING_IN_FORCE"),
    TimeoutError: (503, "VALIDATION_TIMED_OUT"),
    OSError: (507, "STORAGE_FAILED"),
    KeyError: (400, "BAD_REQUEST"),
    TypeError: (400, "BAD_REQUEST"),
    ValueError: (400, "BAD_REQUEST"),
}
"""The class of an error -> HTTP status and reason; the first class that fits applies."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(
    pilot: Pilot,
    proxies: Proxies,
    guard: Guard,
    more: Iterable[web.RouteDef] = (),
    reports: Callable[[], list[str]] = list,
) -> web.Application:
    """Return the API of one control plane; `more` are routes of other modules.

    `reports` returns sentences about damage that SREs must look at.
    """
    api = _Api(pilot, proxies, guard, reports)
    made = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_errors])
    made.add_routes(
        [
            web.get("/v1/state", api.state),
            web.post("/v1/check", api.check),
            web.post("/v1/apply", api.apply),
            web.post("/v1/apply-repository", api.apply_repository),
            web.post("/v1/rollback", api.rollback),
            web.get("/v1/history", api.history),
            web.get("/v1/history/{number}", api.revision),
            web.get("/v1/proxies", api.proxies),
            web.get("/v1/proxies/{node}", api.resources),
            web.get("/v1/synced", api.synced),
            web.get("/v1/decision", api.decision),
            web.get("/v1/edges", api.edges),
            web.get("/v1/services/{name}", api.service),
            *more,
        ]
    )
    return made


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _refusal(error.status, "BAD_REQUEST", error.reason)
    except tuple(_STATUS) as error:
        status, reason = next(v for kind, v in _STATUS.items() if isinstance(error, kind))
        found = [asdict(each) for each in error.findings] if isinstance(error, Refused) else []
        return _refusal(status, reason, _text(error), found)


def _text(error: Exception) -> str:
    if type(error) is KeyError:
        return f"{error.args[0]!r} is missing"
    if isinstance(error, TimeoutError):
        return "Envoy did not validate the configuration in time; please retry"
    if isinstance(error, OSError):
        return f"nothing was changed: {error}; check the disk, then retry"
    return str(error)


def _refusal(
    status: int, reason: str, message: str, findings: list[dict[str, Any]] | None = None
) -> web.Response:
    error = {"reason": reason, "message": message, "findings": findings or []}
    return json_answer({"error": error}, status)


def json_answer(value: Any, status: int = 200) -> web.Response:
    """Return an answer with a value as JSON."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


class _Api:
    """The handlers."""

    def __init__(
        self, pilot: Pilot, proxies: Proxies, guard: Guard, reports: Callable[[], list[str]]
    ) -> None:
        self._pilot = pilot
        self._proxies = proxies
        self._guard = guard
        self._reports = reports

    async def state(self, _: web.Request) -> web.Response:
        """Return the revision in force, and why a later edit is not."""
        state = self._pilot.state
        return json_answer(
            {
                "revision": revision_shown(state.revision) if state.revision else None,
                "findings": [asdict(each) for each in state.findings],
                "reports": await asyncio.to_thread(self._reports),
                "nodes": {node: each.version for node, each in state.nodes.items()},
                "publications": self._pilot.publications,
            }
        )

    async def check(self, request: web.Request) -> web.Response:
        """Return how a configuration would change the proxies; nothing changes.

        `revision` is what it was compared with: the `parent` of an application that must not
        replace what came into force after the comparison.
        """
        after = await self._pilot.check(content_of(await body_of(request)))
        state = self._pilot.state
        found = await asyncio.to_thread(differences, state.nodes, after.nodes)
        restart = restarts(state.compiled.mesh if state.compiled else None, after.mesh)
        return json_answer(
            {
                "revision": state.revision.number if state.revision else 0,
                "changes": [_change(each) for each in found],
                "restart": restart,
            }
        )

    async def apply(self, request: web.Request) -> web.Response:
        """Put a configuration in force. Without `force`, it must not deny live payments.

        With `parent`, it is refused if another revision than that came into force meanwhile.
        """
        body = await body_of(request)
        if (origin := body.get("origin", Origin.APPLY)) != Origin.APPLY:
            raise ValueError(f"origin is {origin!r:.40}; a caller can only make {Origin.APPLY!r}")
        return await self._applied(request, body, Origin.APPLY)

    async def apply_repository(self, request: web.Request) -> web.Response:
        """The same for the stack's job, which must not replace what SREs did since."""
        return await self._applied(request, await body_of(request), Origin.REPOSITORY)

    async def _applied(
        self, request: web.Request, body: dict[str, Any], origin: Origin
    ) -> web.Response:
        content, parent = content_of(body), parent_of(body)
        entry = Entry(caller_of(request), why_of(body), origin)
        before = self._pilot.state.revision
        approve = None if is_forced(body) else await self._guard()
        made = await self._pilot.apply(content, entry, parent=parent, approve=approve)
        return json_answer({"revision": revision_shown(made), "changed": made != before})

    async def rollback(self, request: web.Request) -> web.Response:
        """Put the files of an earlier revision in force; `force` and `parent` as for `apply`."""
        body, who = await body_of(request), caller_of(request)
        to, parent, before = number_of(body, "to"), parent_of(body), self._pilot.state.revision
        approve = None if is_forced(body) else await self._guard()
        made = await self._pilot.rollback(to, who, why_of(body), parent=parent, approve=approve)
        return json_answer({"revision": revision_shown(made), "changed": made != before})

    async def history(self, request: web.Request) -> web.Response:
        """Return the revisions, the newest first."""
        limit = int(request.query.get("limit", "100"))
        found = await asyncio.to_thread(self._pilot.history.newest_first, max(1, limit))
        return json_answer({"revisions": [revision_shown(each) for each in found]})

    async def revision(self, request: web.Request) -> web.Response:
        """Return one revision with its files."""
        number = int(request.match_info["number"])
        found = self._pilot.history.get(number)
        content = await asyncio.to_thread(self._pilot.history.content, number)
        files = {name: body.decode(errors="replace") for name, body in content.items()}
        return json_answer({"revision": revision_shown(found), "files": files})

    async def proxies(self, _: web.Request) -> web.Response:
        """Return for each proxy and kind whether it has what is in force."""
        return json_answer({"proxies": self._proxies.status()})

    async def resources(self, request: web.Request) -> web.Response:
        """Return the resources that a proxy should have, as JSON in Envoy's form."""
        node = request.match_info["node"]
        snapshot = self._pilot.state.nodes.get(node)
        if snapshot is None:
            known = ", ".join(sorted(self._pilot.state.nodes))
            return _refusal(404, "UNKNOWN_PROXY", f"no proxy is called {node}; there are {known}")
        return json_answer(await asyncio.to_thread(_decoded, snapshot))

    async def synced(self, request: web.Request) -> web.Response:
        """Wait until every connected proxy has acknowledged what is in force.

        Proxies that are not connected get `connects_s` for it, of the whole time.
        With `after`, first wait until this process has published more than so many configurations:
        `publications` in an earlier answer and in the state. An edit in place is awaited so.
        """
        wait_s, connects_s = _seconds(request, "timeout_s", "10"), _seconds(request, "connects_s")
        if (after := request.query.get("after")) is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._pilot.published_after(int(after)), wait_s)
        count = self._pilot.publications
        found = asdict(await self._proxies.wait_synced(wait_s, connects_s))
        return json_answer({**found, "publications": count})

    async def decision(self, request: web.Request) -> web.Response:
        """Return whether a workload may call methods of another one, and which rule decides."""
        query = request.query
        found = decide(self._mesh(), query["from"], query["to"], query["method"])
        return json_answer({"decisions": [asdict(each) for each in found]})

    async def edges(self, _: web.Request) -> web.Response:
        """Return who may call whom."""
        return json_answer({"edges": [asdict(each) for each in edges(self._mesh())]})

    async def service(self, request: web.Request) -> web.Response:
        """Return everything about one service."""
        return json_answer(describe(self._mesh(), request.match_info["name"]))

    def _mesh(self) -> model.Mesh:
        compiled = self._pilot.state.compiled
        if compiled is None:
            raise NothingInForce("no configuration is in force yet; run bpctl mesh apply")
        return compiled.mesh


def _seconds(request: web.Request, name: str, default: str = "0") -> float:
    found = float(request.query.get(name, default))
    if not 0 <= found <= WAIT_S_MAX:
        raise ValueError(f"{name} is not from 0 to {WAIT_S_MAX:g}")
    return found


def restarts(before: model.Mesh | None, after: model.Mesh) -> list[str]:
    """Return the proxies that exist and need a restart, because their bootstraps change."""
    known = [] if before is None else workloads(before)
    return sorted(each.node for each in known if workload_of(after, each.node) not in (None, each))


def _decoded(snapshot: NodeSnapshot) -> dict[str, Any]:
    found = {
        kind.name: {name: decoded(each) for name, each in snapshot.resources[kind].items()}
        for kind in Kind
    }
    versions = {
        kind.name: {name: each.version for name, each in snapshot.resources[kind].items()}
        for kind in Kind
    }
    return {
        "node": snapshot.node,
        "version": snapshot.version,
        "versions": versions,
        "resources": found,
    }


def revision_shown(revision: Revision) -> dict[str, Any]:
    """Return a revision as JSON."""
    return asdict(revision)


def _change(change: Change) -> dict[str, Any]:
    return {**asdict(change), "kind": change.kind.name}


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in a request. Raises ValueError."""
    found: Any = orjson.loads(await request.read())
    if not isinstance(found, dict):
        raise ValueError("the body is not a JSON object")
    return found


def content_of(body: dict[str, Any]) -> Content:
    """Return the files in a request. Raises ValueError or KeyError."""
    files: Any = body["files"]
    if not isinstance(files, dict) or not all(isinstance(each, str) for each in files.values()):
        raise ValueError("files is not an object of texts")
    return {str(name): text.encode() for name, text in files.items()}


def why_of(body: dict[str, Any]) -> str:
    """Return the reason in a request."""
    return text_of({"why": "", **body}, "why")[:WHY_CHARS_MAX]


def text_of(body: dict[str, Any], name: str) -> str:
    """Return a text in a request. Raises ValueError or KeyError."""
    if not isinstance(body[name], str):
        raise ValueError(f"{name} is no text")
    return body[name]


def number_of(body: dict[str, Any], name: str) -> int:
    """Return a whole number in a request. Raises ValueError or KeyError."""
    if type(body[name]) is not int:
        raise ValueError(f"{name} is no whole number")
    return body[name]


def parent_of(body: dict[str, Any]) -> int | None:
    """Return the revision for which a change was made; None if it may replace any."""
    return None if body.get("parent") is None else number_of(body, "parent")


def is_forced(body: dict[str, Any]) -> bool:
    """Return whether live payments may be denied. Raises ValueError: "false" is not false."""
    forced = body.get("force", False)
    if not isinstance(forced, bool):
        raise ValueError("force is neither true nor false")
    return forced


def caller_of(request: web.Request) -> str:
    """Return the user of the calling process, as the kernel knows it."""
    connection = request.transport.get_extra_info("socket") if request.transport else None
    if connection is None:
        return "unknown"
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return user_name(_CREDENTIALS.unpack(packed)[1])


def user_name(uid: int) -> str:
    """Return the name of a user of this machine, or the number of an unknown one."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
