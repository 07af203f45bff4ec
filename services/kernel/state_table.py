"""A state machine as a table: which state follows a state and an event.

The table is data. The diagram in docs/ is drawn from it, and a test tries every pair of state and
event.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

State = TypeVar("State", bound=Enum)
Event = TypeVar("Event", bound=Enum)


class IllegalTransition(Exception):
    """The table has no row for this state and event, so nothing may change."""


@dataclass(frozen=True, slots=True)
class Transition(Generic[State]):
    """The result of a step. A service whose steps do more than change the state derives from it."""

    to: State
    """The state that follows."""


Row = TypeVar("Row", bound=Transition[Any])


@dataclass(frozen=True, slots=True)
class StateTable(Generic[State, Event, Row]):
    """Rows (state, event) -> transition."""

    initial: State
    rows: Mapping[tuple[State, Event], Row]

    def transition(self, state: State, event: Event) -> Row:
        """Return the row of a state and an event, or raise IllegalTransition."""
        try:
            return self.rows[state, event]
        except KeyError:
            raise IllegalTransition(f"{state.name} has no transition for {event.name}") from None

    def next(self, state: State, event: Event) -> State:
        """Return the state that follows, or raise IllegalTransition."""
        return self.transition(state, event).to

    def allows(self, state: State, event: Event) -> bool:
        """Return whether the table has a row for the state and the event."""
        return (state, event) in self.rows

    def terminal(self) -> frozenset[State]:
        """Return the states from which no row leads to another state."""
        left = {state for state, _ in self.rows}
        return frozenset({self.initial, *(row.to for row in self.rows.values())} - left)

    def mermaid(self) -> str:
        """Draw the table as a Mermaid state diagram."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.initial.name}"]
        lines += [
            f"    {state.name} --> {row.to.name}: {event.name.lower()}"
            for (state, event), row in self.rows.items()
        ]
        lines += [f"    {s.name} --> [*]" for s in sorted(self.terminal(), key=lambda s: s.name)]
        return "\n".join(lines) + "\n"
