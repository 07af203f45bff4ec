"""A state machine as a table: which state follows a state and an event.

The table is data. The diagram in docs/ is drawn from it, and a test tries every pair of state and
event.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

State = TypeVar("State", bound=Enum)
Event = TypeVar("Event", bound=Enum)


class IllegalTransition(Exception):
    """The table has no row for this state and event, so nothing may change."""


@dataclass(frozen=True, slots=True)
class StateTable(Generic[State, Event]):
    """Rows (state, event) -> next state."""

    initial: State
    rows: Mapping[tuple[State, Event], State]

    def next(self, state: State, event: Event) -> State:
        """Return the state that follows, or raise IllegalTransition."""
        try:
            return self.rows[state, event]
        except KeyError:
            raise IllegalTransition(f"{state.name} has no transition for {event.name}") from None

    def allows(self, state: State, event: Event) -> bool:
        """Return whether the table has a row for the state and the event."""
        return (state, event) in self.rows

    def terminal(self) -> frozenset[State]:
        """Return the states from which no row leads to another state."""
        left = {state for state, _ in self.rows}
        return frozenset({self.initial, *self.rows.values()} - left)

    def mermaid(self) -> str:
        """Draw the table as a Mermaid state diagram."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.initial.name}"]
        lines += [f"    {s.name} --> {n.name}: {e.name.lower()}" for (s, e), n in self.rows.items()]
        lines += [f"    {s.name} --> [*]" for s in sorted(self.terminal(), key=lambda s: s.name)]
        return "\n".join(lines) + "\n"
