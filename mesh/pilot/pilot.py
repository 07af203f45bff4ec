"""Which configuration is in force, and how another one comes into force.

A configuration is compiled and validated first. If that succeeds, it becomes a revision, gets into
the active folder and is published to the proxies; otherwise the last good one stays in force. One
change happens at a time. Files, Envoy and proxies are behind `Compile` and `Publish`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from mesh.controlplane.deliver.packed import NodeSnapshot
from mesh.pilot import config_folder
from mesh.pilot.compiling import Compiled
from mesh.pilot.config_folder import Content, FolderRefused
from mesh.pilot.findings import Finding, Refused
from mesh.pilot.held import Held
from mesh.pilot.history import Entry, History, Origin, Revision
from mesh.pilot.places import Places

Nodes = Mapping[str, NodeSnapshot]
Compile = Callable[[Content], Awaitable[Compiled]]
"""Translates and validates a configuration. Raises Refused."""
Publish = Callable[[Compiled], Awaitable[None]]
"""Makes these the resources of all proxies."""
Approve = Callable[[Compiled, Compiled], None]
"""Gets what is in force and what would be; raises ValueError if it must not be."""
ApproveEdit = Callable[[Compiled, Compiled], Awaitable[None]]
"""The same for an edit in place."""


class ParentChanged(ValueError):
    """Another revision came into force meanwhile. Look at it with `bpctl mesh diff`, then retry."""

    def __init__(self, parent: int, current: Revision | None) -> None:
        now = "no revision is in force"
        if current is not None:
            why = f" ({current.why})" if current.why else ""
            now = (
                f"revision {current.number} is in force, by {current.who} at"
                f" {current.create_time}: {current.origin}{why}"
            )
        super().__init__(f"the change was made for revision {parent}, and {now}")


async def _approved(_: Compiled, __: Compiled) -> None:
    """Every edit in place may come into force."""


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
        self,
        places: Places,
        compile_: Compile,
        publish: Publish,
        *,
        editor: Callable[[], str],
        check: Compile | None = None,
        approve_edit: ApproveEdit = _approved,
    ) -> None:
        """`editor` returns the user to whom an edit in place is attributed. `check` compiles what
        does not come into force; it must be able to run concurrently with `compile_`."""
        self._places = places
        self._history = History(places.history)
        self._held = Held(places.held)
        self._compile, self._compile_apart = compile_, check or compile_
        self._publish = publish
        self._editor, self._approve_edit = editor, approve_edit
        self._one, self._checking = asyncio.Lock(), asyncio.Lock()
        self._content: Content = {}
        self._arrived = True
        """False until the proxies and the active folder have got the revision in force."""
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
    def content(self) -> Content:
        """The files in force."""
        return self._content

    def reports(self) -> list[str]:
        """Return what an SRE must look at although it stops nothing: damaged files."""
        return [*self._history.reports(), *self._held.reports()]

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
            latest = await asyncio.to_thread(self._history.newest_whole)
            if latest is None:
                return
            self._content = await asyncio.to_thread(self._history.content, latest.number)
            self._state = State(latest, None, ())
            self._arrived = False
            try:
                await self._arrive(latest)
            except OSError as error:
                self._note([Finding("", 0, f"the start must wait: {error}")])

    async def _arrive(self, latest: Revision) -> None:
        """Publish the revision in force again. OSError, such as a full disk: repeat it later."""
        await self._recompile(latest)
        if not self._history.is_in_force(latest.number):
            await asyncio.to_thread(self._put_in_force, latest)
        self._arrived = True

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
        if revision is None and not self._history.reports():
            return True
        try:
            if revision is not None and not self._arrived:
                await self._arrive(revision)
            content = await asyncio.to_thread(config_folder.read, self._places.active)
            digest = config_folder.digest(content)
            if digest == self._seen:
                return True
            self._seen = digest
            if revision is not None and digest == revision.digest:
                self._note([])
            elif (reasons := self._held.of(digest)) is not None:
                self._note(reasons)
            else:
                self._held.release()
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
            same = current is not None and current.digest == config_folder.digest(content)
            if parent not in (None, current.number if current else 0) and not same:
                raise ParentChanged(parent, current)
            if current is not None and self._is_applied_already(content, entry):
                return current
            compiled = await self._compile(content)
            if approve is not None and self._state.compiled is not None:
                approve(self._state.compiled, compiled)
            if current is not None and same:
                revision = current
                await asyncio.to_thread(self._put_in_force, revision)
            else:
                revision = await asyncio.to_thread(self._recorded, content, entry)
            await self._in_force(revision, content, compiled)
            return revision

    async def check(self, content: Content) -> Compiled:
        """Return what the proxies would get; nothing changes. Raises Refused or FolderRefused.

        It delays no change: one check at a time runs concurrently with the changes.
        """
        config_folder.checked(content)
        async with self._checking:
            return await self._compile_apart(content)

    async def rollback(
        self,
        to: int,
        who: str,
        why: str,
        *,
        parent: int | None = None,
        approve: Approve | None = None,
    ) -> Revision:
        """Put the files of an earlier revision in force, as a new revision.

        Raises UnknownRevision, Refused if they no longer fit contracts and addresses, and what
        `apply` raises.
        """
        content = await asyncio.to_thread(self._history.content, to)
        entry = Entry(who, why, Origin.ROLLBACK, of=to)
        return await self.apply(content, entry, parent=parent, approve=approve)

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
        if not await self._is_approved(content, compiled):
            return
        # The proxies get it before the disk does: a lost record is made again from the folder.
        await self._publish(compiled)
        self._unfit = self._faults = ()
        self._state, self._content = State(self._state.revision, compiled, ()), content
        self._count()
        entry = Entry(self._editor(), "edited in place", Origin.EDIT)
        revision = await asyncio.to_thread(self._history.record, content, entry, pending=False)
        self._state = State(revision, compiled, ())

    async def _is_approved(self, content: Content, compiled: Compiled) -> bool:
        """Return whether an edit in place may come into force. If not, it is held back until its
        files change or are applied: also after a restart, which knows no live calls."""
        if self._state.compiled is None:
            return True
        try:
            await self._approve_edit(self._state.compiled, compiled)
        except ValueError as error:
            reasons = (
                error.findings if isinstance(error, Refused) else (Finding("", 0, str(error)),)
            )
            how = (
                "this edit in place is held back; change it, or use bpctl mesh apply --force"
                f" {self._places.active}"
            )
            held = (*reasons, Finding("", 0, how))
            # On the disk before it is shown: the process may end in between.
            await asyncio.to_thread(self._held.hold, config_folder.digest(content), held)
            self._note(held)
            return False
        return True

    async def _recompile(self, revision: Revision) -> None:
        try:
            compiled = await self._compile(self._content)
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

    async def _in_force(self, revision: Revision, content: Content, compiled: Compiled) -> None:
        self._seen, self._content, self._arrived = revision.digest, content, True
        # The active folder has other files now, or those by force.
        with contextlib.suppress(OSError):
            self._held.release()
        self._unfit = self._faults = ()
        self._state = State(revision, compiled, ())
        try:
            await self._publish(compiled)
        except OSError as error:
            # It is durable and in force, and some proxies may have it: the next reload repeats it.
            self._arrived = False
            self._note([Finding("", 0, f"a part of the publication must wait: {error}")])
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
