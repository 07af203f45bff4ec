"""Presented refresh tokens in any order, against the rules of a family. Pure."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.auth.refresh import Decision, Facts, decide


class Orders(RuleBasedStateMachine):
    """A family as a list of tokens: each refresh appends one, and the last one is current."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.grace = 1, set[int]()
        self.reused = self.ended = False

    def decided(self, token: int, device_matches: bool = True) -> Decision:
        """Return the decision on a token by its number."""
        facts = Facts(
            exists=not self.ended,
            device_matches=device_matches,
            is_ended=self.reused,
            is_current=token == self.tokens - 1,
            has_successor=token in self.grace,
        )
        return decide(facts)

    @rule(token=st.integers(0, 30))
    def present(self, token: int) -> None:
        """The effect of each decision is what the bank does then."""
        token = min(token, self.tokens - 1)
        decision = self.decided(token)
        if decision is Decision.ROTATE:
            assert token == self.tokens - 1
            self.grace.add(token)
            self.tokens += 1
        elif decision is Decision.REPLAY:
            assert token in self.grace
        elif decision is Decision.REUSED:
            assert self.reused or (token < self.tokens - 1 and token not in self.grace)
            self.reused = True
        else:
            assert self.ended

    @rule()
    def let_the_grace_pass(self) -> None:
        self.grace.clear()

    @rule()
    def end(self) -> None:
        self.ended = True

    @invariant()
    def at_most_one_token_rotates(self) -> None:
        decisions = [self.decided(token) for token in range(self.tokens)]
        alive = not self.reused and not self.ended
        assert decisions.count(Decision.ROTATE) == alive
        assert decisions.count(Decision.REPLAY) == (len(self.grace) if alive else 0)

    @invariant()
    def another_device_gets_nothing(self) -> None:
        assert {self.decided(token, False) for token in range(self.tokens)} == {Decision.INVALID}


TestOrders = Orders.TestCase
TestOrders.settings = settings(max_examples=50, stateful_step_count=30)
