"""Remembers results of pure functions from one translation to the next."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Given = tuple[Any, ...]
_SPARE = 3
"""A memory may have this many times the results that one translation uses."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A result with its arguments: their ids are valid only while the arguments live.

    `used` has what the computation asked the memory for.
    """

    key: _Given
    result: Any
    by_value: bool
    used: tuple[_Given, ...]


class _Kept:
    """Results by the ids of their arguments, and by their values."""

    def __init__(self) -> None:
        self.by_identity: dict[_Given, _Entry] = {}
        self._by_value: dict[_Given, _Entry] = {}
        self._unhashable: list[_Entry] = []

    def equal(self, key: _Given) -> _Entry | None:
        """Return the result for equal arguments."""
        try:
            return self._by_value.get(key)
        except TypeError:
            return next((each for each in self._unhashable if each.key == key), None)

    def keep(self, ids: _Given, entry: _Entry) -> None:
        """Keep a result."""
        self.by_identity[ids] = entry
        if not entry.by_value:
            return
        try:
            self._by_value[entry.key] = entry
        except TypeError:
            self._unhashable.append(entry)


class Memory:
    """Results by function and arguments: first by the arguments' identity, then by their value."""

    def __init__(self, room: int | None = None) -> None:
        self._kept, self._before = _Kept(), _Kept()
        self._running: list[list[_Given]] = []
        """What each running computation has asked for; the innermost is the last one."""
        self._room = room
        self.computed = 0
        """How many results were computed."""

    @property
    def crowded(self) -> bool:
        """Whether so many results are kept that the unused ones should be forgotten."""
        return self._room is not None and len(self._kept.by_identity) > self._room

    def measure(self) -> None:
        """Note after the first translation how many results one translation uses."""
        if self._room is None:
            self._room = _SPARE * len(self._kept.by_identity)

    @contextmanager
    def forgetting(self) -> Generator[None]:
        """Forget at the end what was not asked for in between.

        What a kept result was made of is kept too: the next edit may change a part of it.
        """
        self._kept, self._before = _Kept(), self._kept
        yield
        self._before = _Kept()
        self._room = _SPARE * len(self._kept.by_identity)

    def of(self, make: Callable[_P, _R], *given: _P.args, **named: _P.kwargs) -> _R:
        """Return `make(*given)`; equal arguments give the same object."""
        return self._result(make, given, named, by_value=True)

    def of_same(self, make: Callable[_P, _R], *given: _P.args, **named: _P.kwargs) -> _R:
        """Return `make(*given)`; the same arguments give the same object.

        For arguments that come from this memory, whose comparison would take long.
        """
        return self._result(make, given, named, by_value=False)

    def _result(
        self, make: Callable[..., _R], given: _Given, named: dict[str, Any], *, by_value: bool
    ) -> _R:
        if named:
            raise TypeError("only positional arguments are remembered")
        ids = (make, *map(id, given))
        if self._running:
            self._running[-1].append(ids)
        entry = self._kept.by_identity.get(ids) or self._recalled(ids)
        if entry is None:
            entry = self._equal(make, given, by_value) or self._made(make, given, by_value)
            self._kept.keep(ids, entry)
        return entry.result

    def _recalled(self, ids: _Given) -> _Entry | None:
        """Return a result from before, and keep what it was made of."""
        entry = self._before.by_identity.get(ids)
        if entry is not None:
            self._kept.keep(ids, entry)
            self._recall_all(entry.used)
        return entry

    def _recall_all(self, used: tuple[_Given, ...]) -> None:
        for ids in used:
            if ids not in self._kept.by_identity:
                self._recalled(ids)

    def _equal(self, make: Callable[..., Any], given: _Given, by_value: bool) -> _Entry | None:
        key = (make, *given)
        found = (self._kept.equal(key) or self._before.equal(key)) if by_value else None
        if found is None:
            return None
        self._recall_all(found.used)
        return replace(found, key=key)

    def _made(self, make: Callable[..., Any], given: _Given, by_value: bool) -> _Entry:
        self.computed += 1
        self._running.append([])
        try:
            result = make(*given)
        finally:
            used = self._running.pop()
        return _Entry((make, *given), result, by_value, tuple(used))
