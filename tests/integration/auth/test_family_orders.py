"""Refresh families in Valkey under calls in any order: a state machine against a simple model."""

import asyncio
from collections import Counter
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.auth.errors import RefreshTokenInvalid
from services.auth.refresh import Begun, Invalid, Replay, Reused, Rotate, token_digest
from services.auth.state import TokenPair
from tests.integration.auth.logins import App, expire, logins_of, new_pair, new_token
from tests.rigs.stores import ValkeyStore


class FamilyMachine(RuleBasedStateMachine):
    """A family whose tokens an owner, a forgetful phone and a thief present in any order."""

    store: ClassVar[ValkeyStore]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.app = App(logins_of(self.store.client("auth")))
        self.tokens: list[str] = []
        """Every token of the family; the last one is current."""
        self.grace: dict[str, TokenPair] = {}
        self.reused = self.ended = False
        self.slow: Rotate | None = None

    @initialize()
    def log_in(self) -> None:
        self.runner.run(self.app.log_in())
        self.tokens = [self.app.token]

    @rule()
    def refresh(self) -> None:
        """The current token, or what the family's end makes of it."""
        self._free_lease()
        begun = self._begin(self.tokens[-1])
        assert type(begun) is self._expected(Rotate)
        if isinstance(begun, Rotate):
            self._finish(begun)

    @rule(parallel=st.integers(2, 5))
    def refresh_in_parallel(self, parallel: int) -> None:
        """One call rotates and the others get its tokens."""
        self._free_lease()
        kinds = self.runner.run(self._parallel(parallel))
        if self._expected(Rotate) is Rotate:
            assert kinds == {Rotate: 1, Replay: parallel - 1}
        else:
            assert kinds == {self._expected(Rotate): parallel}

    @rule(back=st.integers(1, 3))
    def present_a_replaced_token(self, back: int) -> None:
        """Within the grace the same tokens, later the end of the family."""
        if len(self.tokens) <= back:
            return
        token = self.tokens[-1 - back]
        begun = self._begin(token)
        if token in self.grace and self._expected(Replay) is Replay:
            assert begun == Replay(self.app.family, self.grace[token])
        else:
            assert type(begun) is self._expected(Reused)
            self.reused = True

    @rule()
    def let_the_grace_pass(self) -> None:
        for token in self.grace:
            self.runner.run(self.app.end_grace(token))
        self.grace.clear()

    @rule(back=st.integers(1, 3))
    def present_a_token_on_another_device(self, back: int) -> None:
        """It is invalid and changes nothing."""
        token = self.tokens[max(-back, -len(self.tokens))]
        begun = self.runner.run(self.app.begin(token, new_token()))
        assert begun == Invalid(wrong_device=None if self.ended else self.app.family)

    @precondition(lambda self: self.slow is None)
    @rule()
    def begin_slowly(self) -> None:
        """A call that will finish after other calls."""
        begun = self._begin(self.tokens[-1])
        assert type(begun) is self._expected(Rotate)
        if isinstance(begun, Rotate):
            self.slow = begun

    @precondition(lambda self: self.slow is not None)
    @rule()
    def finish_slowly(self) -> None:
        assert self.slow is not None
        slow, self.slow = self.slow, None
        if slow.refresh_token == self.tokens[-1] and not self.reused and not self.ended:
            self._finish(slow)
        elif slow.refresh_token in self.grace and not self.reused and not self.ended:
            won = self.runner.run(self.app.logins.families.finish(slow, new_pair()))
            assert won == self.grace[slow.refresh_token]
        else:
            with pytest.raises(RefreshTokenInvalid):
                self.runner.run(self.app.logins.families.finish(slow, new_pair()))

    @rule()
    def end(self) -> None:
        self.runner.run(self.app.logins.families.end([self.app.session.session_id]))
        self.ended = True

    @invariant()
    def at_most_one_token_is_current(self) -> None:
        """And it is the newest one of a family that has not ended."""
        key = f"family:{self.app.session.session_id}"
        current = self.runner.run(_field(self.app, key, "current"))
        alive = bool(self.tokens) and not self.reused and not self.ended
        assert current == (token_digest(self.tokens[-1]) if alive else "")

    def _expected(self, kind: type) -> type:
        """Return the kind, unless the family has ended."""
        if self.ended:
            return Invalid
        return Reused if self.reused else kind

    def _begin(self, token: str) -> Begun:
        return self.runner.run(self.app.begin(token))

    def _free_lease(self) -> None:
        """Let the lease of the slow call expire, so that the next call does not wait for it."""
        lease = f"refresh:{token_digest(self.tokens[-1])}:lease"
        self.runner.run(expire(self.app.logins.client, lease))

    def _finish(self, begun: Rotate) -> None:
        pair = new_pair()
        assert self.runner.run(self.app.logins.families.finish(begun, pair)) == pair
        self._replaced(begun.refresh_token, pair)

    def _replaced(self, token: str, pair: TokenPair) -> None:
        self.grace[token] = pair
        self.tokens.append(pair.refresh_token)

    async def _parallel(self, count: int) -> Counter[type]:
        token, pair = self.tokens[-1], new_pair()

        async def one() -> type:
            begun = await self.app.begin(token)
            if isinstance(begun, Rotate):
                assert await self.app.logins.families.finish(begun, pair) == pair
                self._replaced(token, pair)
            if isinstance(begun, Replay):
                assert begun.pair == pair
            return type(begun)

        return Counter(await asyncio.gather(*(one() for _ in range(count))))

    def teardown(self) -> None:
        self.runner.run(self.app.logins.client.aclose())
        self.runner.close()


async def _field(app: App, key: str, name: str) -> str:
    value = await app.logins.client.hget(key, name)
    return value.decode() if isinstance(value, bytes) else ""


def test_no_order_of_calls_makes_two_successors_or_revives_a_family(valkey: ValkeyStore) -> None:
    """A state machine on a real Valkey."""
    FamilyMachine.store = valkey
    run_state_machine_as_test(
        FamilyMachine, settings=settings(max_examples=20, stateful_step_count=20)
    )
