"""Which configuration is in force, and how another one comes into force.

A configuration is compiled and validated first. If that succeeds, it becomes a revision, gets into
the active folder and is published to the proxies; otherwise the last good one stays in force. One
change happens at a time. Files, Envoy and proxies are behind `Compile` and `Publish`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from mesh.controlplane.deliver.packed import NodeSnapshot
from mesh.pilot import config_folder
from mesh.pilot.compiling import Compiled
from mesh.pilot.config_folder import Content, FolderRefused
from mesh.pilot.findings import Finding, Refused
from mesh.pilot.history import Entry, History, Origin, Revision
from mesh.pilot.places import Places

Nodes = Mapping[str, NodeSnapshot]
Compile = Callable[[Content], Awaitable[Compiled]]
"""Translates and validates a configuration. Raises Refused."""
Publish = Callable[[Compiled], Awaitable[None]]
"""Makes these the resources of all proxies."""
Approve = Callable[[Compiled, Compiled], None]
"""Gets what is in force and what would be; raises an error if it must not be."""


class ParentChanged(ValueError):
    """Another revision came into force meanwhile. Look at it with `bpctl mesh diff`, then retry."""


@dataclass(frozen=True, slots=True)
class State:
    """What is in force, and why a later edit is not."""

    revision: Revision | None
    compiled: Compiled | None
    """None until a revision has been compiled."""
    findings: tuple[Finding, ...]
    """The errors of the revision, if it no longer fits contracts and addresses, and those of the
    active folder. While there are some, the last good configuration is in force."""

    @property
    def nodes(self) -> Nodes:
        """The resources in force, by proxy."""
        return self.compiled.nodes if self.compiled else {}


class Pilot:
    """The configuration in force. Only its own loop calls it."""

    def __init__(
        self, places: Places, compile_: Compile, publish: Publish, *, editor: Callable[[], str]
    ) -> None:
        """`editor` returns the user to whom an edit in place is attributed."""
        self._places = places
        self._history = History(places.history)
        self._compile = compile_
        self._publish = publish
        self._editor = editor
        self._one = asyncio.Lock()
        self._state = State(None, None, ())
        self._publications = 0
        self._published = asyncio.Event()
        self._seen = ""
        self._unfit: tuple[Finding, ...] = ()
        """Why the revision in force does not fit the contracts and addresses."""
        self._faults: tuple[Finding, ...] = ()
        """Why the active folder, whose digest is `_seen`, is not in force."""

    @property
    def state(self) -> State:
        """What is in force now."""
        return self._state

    @property
    def publications(self) -> int:
        """How many configurations this process has published."""
        return self._publications

    async def published_after(self, count: int) -> None:
        """Wait until more than `count` configurations have been published."""
        while self._publications <= count:
            await self._published.wait()

    @property
    def history(self) -> History:
        """The revisions."""
        return self._history

    async def start(self) -> None:
        """Put the newest revision in force; complete its arrival if the last process ended in it.

        Without a revision, the first `apply` creates it. A revision that does not compile, because
        contracts or addresses have changed since, is reported and published to no proxy.
        """
        async with self._one:
            latest = self._history.latest()
            if latest is None:
                return
            if not self._history.is_in_force(latest.number):
                await asyncio.to_thread(self._put_in_force, latest)
            await self._recompile(latest)

    async def recompile(self) -> tuple[Finding, ...]:
        """Compile the revision in force again, because addresses have changed; return its errors.

        With errors, the proxies keep what they have.
        """
        async with self._one:
            if (revision := self._state.revision) is not None:
                await self._recompile(revision)
            return self._unfit

    async def reload(self) -> bool:
        """Read the active folder; if an edit of it is valid, it becomes the next revision.

        Returns False if the machine prevented this, such as a full disk: repeat the call later.
        """
        async with self._one:
            return await self._reload()

    async def _reload(self) -> bool:
        revision = self._state.revision
        if revision is None:
            return True
        try:
            content = await asyncio.to_thread(config_folder.read, self._places.active)
            digest = config_folder.digest(content)
            if digest == self._seen:
                return True
            self._seen = digest
            if digest == revision.digest:
                self._note([])
            else:
                await self._edited(content)
        except FolderRefused as error:
            self._seen = ""
            self._note([Finding("", 0, f"the active folder cannot be read: {error}")])
        except OSError as error:
            self._seen = ""
            self._note([Finding("", 0, f"the edit of the active folder must wait: {error}")])
            return False
        return True

    async def apply(
        self,
        content: Content,
        entry: Entry,
        *,
        parent: int | None = None,
        approve: Approve | None = None,
    ) -> Revision:
        """Put a configuration in force. The same files again make no new revision.

        A valid edit of the active folder that was not read yet becomes a revision first. An edit
        with errors is kept next to the new revision.
        `approve` can refuse what has been compiled, with an error of its own.
        Raises Refused, FolderRefused, and ParentChanged if `parent` is not the revision in force.
        OSError, such as a full disk, changes nothing.
        """
        config_folder.checked(content)
        async with self._one:
            await self._reload()
            current = self._state.revision
            if parent is not None and (current.number if current else 0) != parent:
                raise ParentChanged(f"revision {current.number if current else 0} is in force")
            if current is not None and self._is_applied_already(content, entry):
                return current
            compiled = await self._compile(content)
            if approve is not None and self._state.compiled is not None:
                approve(self._state.compiled, compiled)
            if current is not None and current.digest == config_folder.digest(content):
                revision = current
                await asyncio.to_thread(self._put_in_force, revision)
            else:
                revision = await asyncio.to_thread(self._recorded, content, entry)
            await self._in_force(revision, compiled)
            return revision

    async def check(self, content: Content) -> Compiled:
        """Return what the proxies would get; nothing changes. Raises Refused or FolderRefused."""
        config_folder.checked(content)
        async with self._one:
            return await self._compile(content)

    async def rollback(self, to: int, who: str, why: str) -> Revision:
        """Put the files of an earlier revision in force, as a new revision.

        Raises UnknownRevision, or Refused if they no longer fit contracts and addresses.
        """
        content = await asyncio.to_thread(self._history.content, to)
        return await self.apply(content, Entry(who, why, Origin.ROLLBACK, of=to))

    def _recorded(self, content: Content, entry: Entry) -> Revision:
        """Return a new revision whose files are in the active folder; a full disk leaves none."""
        revision = self._history.record(content, entry)
        try:
            self._put_in_force(revision)
        except OSError:
            self._history.withdraw(revision.number)
            raise
        return revision

    def _is_applied_already(self, content: Content, entry: Entry) -> bool:
        """Return whether the repository's files are those that were last applied from outside.

        A start of the bank then keeps the edits and rollbacks that came after them.
        """
        if entry.origin is not Origin.REPOSITORY or not self._state.nodes:
            return False
        last = self._history.last_applied()
        return last is not None and last.digest == config_folder.digest(content)

    async def _edited(self, content: Content) -> None:
        try:
            compiled = await self._compile(content)
        except Refused as refused:
            self._note(refused.findings)
            return
        # The proxies get it before the disk does: a lost record is made again from the folder.
        await self._publish(compiled)
        self._unfit = self._faults = ()
        self._state = State(self._state.revision, compiled, ())
        self._count()
        entry = Entry(self._editor(), "edited in place", Origin.EDIT)
        revision = await asyncio.to_thread(self._history.record, content, entry, pending=False)
        self._state = State(revision, compiled, ())

    async def _recompile(self, revision: Revision) -> None:
        content = await asyncio.to_thread(self._history.content, revision.number)
        try:
            compiled = await self._compile(content)
        except Refused as refused:
            self._unfit = refused.findings
            self._state = State(revision, self._state.compiled, (*self._unfit, *self._faults))
            return
        self._unfit = ()
        # An edit of the active folder may have waited for these addresses.
        self._seen = ""
        self._state = State(revision, compiled, self._faults)
        await self._publish(compiled)

    def _put_in_force(self, revision: Revision) -> None:
        self._history.put_in_force(revision.number, self._places.active)

    async def _in_force(self, revision: Revision, compiled: Compiled) -> None:
        self._seen = revision.digest
        self._unfit = self._faults = ()
        self._state = State(revision, compiled, ())
        await self._publish(compiled)
        self._count()

    def _count(self) -> None:
        self._publications += 1
        # This wakes those that wait now; a later wait is for the next publication.
        self._published.set()
        self._published = asyncio.Event()

    def _note(self, findings: list[Finding] | tuple[Finding, ...]) -> None:
        self._faults = tuple(findings)
        found = (*self._unfit, *self._faults)
        self._state = State(self._state.revision, self._state.compiled, found)
