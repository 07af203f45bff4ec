"""Waiting calls have a limit of their own, for each customer and for all of them."""

import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.chassis.settings import ServiceSettings
from services.chassis.wait_limit import WaitLimit

ANA, BEN, EVA = (uuid.UUID(int=number) for number in (1, 2, 3))


def test_a_wait_beyond_the_limit_of_its_customer_or_of_all_has_no_place_until_one_ends() -> None:
    limit = WaitLimit(waits_max=3, per_customer_max=2)
    with ExitStack() as waits:
        assert [waits.enter_context(limit.place(ANA)) for _ in range(3)] == [True, True, False]
        with limit.place(BEN) as admitted, limit.place(EVA) as beyond:
            assert (admitted, beyond) == (True, False)
        with pytest.raises(KeyError), limit.place(EVA):
            raise KeyError
        with limit.place(EVA) as admitted:
            assert admitted
    with limit.place(ANA) as admitted:
        assert admitted


@pytest.mark.parametrize("calls_max", [1, 2, 1024])
def test_waiting_calls_never_take_all_places_of_a_process(calls_max: int) -> None:
    settings = ServiceSettings(
        service="customers",
        home=Path("home"),
        socket_in=Path("in.sock"),
        openbao_addr="http://localhost",
        service_account_token_file=Path("token"),
        calls_max=calls_max,
    )
    limit = WaitLimit.of(settings)
    with ExitStack() as waits:
        places = [waits.enter_context(limit.place(uuid.uuid4())) for _ in range(calls_max)]
    assert sum(places) == calls_max // 2
