"""A refused cancellation says where the money is: the message depends on the transfer's state."""

from typing import Any, cast

import pytest

from services.payments import errors, handlers
from services.payments.state import CREDITED_BACK, TABLE, Event, State
from services.payments.transfer import Requester
from tests.unit.payments.orders import transfer

ASK = "Ask the beneficiary to return it."
REFUSED = [state for state in State if not TABLE.allows(state, Event.CANCEL_ASKED)]
ENDED = [state for state in REFUSED if state not in {State.CANCELLING, State.CANCELLED}]
"""CANCELLING and CANCELLED are answered with the transfer, not with an error."""


async def _refusal(state: State) -> errors.NotCancellable:
    """Return the refusal of a transfer's state, which needs no dependency."""
    with pytest.raises(errors.NotCancellable) as refusal:
        await handlers.request_cancellation(cast("Any", None), transfer(state), Requester.CUSTOMER)
    return refusal.value


@pytest.mark.parametrize("state", ENDED)
async def test_a_refused_cancellation_names_the_state_and_where_the_money_is(state: State) -> None:
    refusal = await _refusal(state)
    assert (refusal.reason, dict(refusal.metadata)) == ("NOT_CANCELLABLE", {"state": state.value})
    credited_back = state in CREDITED_BACK
    assert ("the money is back in the account" in refusal.message) == credited_back
    assert (ASK in refusal.message) == (not credited_back)


def test_a_sent_a_failed_and_a_returned_transfer_have_three_messages() -> None:
    states = [State.SUBMITTED, State.COMPLETED, State.RETURNED, State.FAILED]
    messages = {state: errors.not_cancellable(state.value).message for state in states}
    assert messages[State.SUBMITTED] == messages[State.COMPLETED]
    assert len(set(messages.values())) == 3
