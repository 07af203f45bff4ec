"""What `bpctl` shows is explained where it is shown."""

import uuid

import pytest

from ops.bpctl import reviews
from services.payments.state import CREDITED_BACK, State

CONTINUE = {State.DEBITED, State.OUTCOME_UNKNOWN, State.SUBMITTED}


def test_each_effect_of_a_decision_has_a_message_and_a_meaning() -> None:
    assert reviews.EFFECTS.keys() == reviews.MEANINGS.keys()


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_an_approved_transfer_is_said_to_continue_only_if_it_does(state: State) -> None:
    told = reviews.message("NONE", state.value, uuid.UUID(int=7))
    assert ("continues" in told) == (state in CONTINUE)
    assert ("credited again" in told) == (state in CREDITED_BACK)
    assert ("has settled" in told) == (state is State.COMPLETED)
    assert "The state of the transfer is" not in told, "every state has its sentence"


@pytest.mark.parametrize("effect", reviews.EFFECTS)
def test_a_message_is_complete(effect: str) -> None:
    told = reviews.message(effect, "CANCELLING", uuid.UUID(int=7))
    assert "{" not in told
    assert ("now asks" in told) is False
    assert ("within five seconds" in told) == (effect == "REQUESTED")
    assert (str(uuid.UUID(int=7)) in told) == (effect in {"NONE", "REQUESTED"})
