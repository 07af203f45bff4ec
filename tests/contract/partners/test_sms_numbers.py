"""The telephone numbers of the sandbox's customers, and the endings that the gateway refuses."""

from sandbox.partners.sms.endings import ENDINGS, UNDELIVERED_ENDING
from sandbox.seed import people
from services.auth import phones


def test_the_gateway_delivers_to_all_numbers() -> None:
    """About one guest in two thousand had a number that the gateway refuses."""
    numbers = [people.phone(f"guest-{n}") for n in range(20_000)]
    assert [number for number in numbers if number[-4:] in ENDINGS] == []
    assert {phones.parse(number) for number in numbers} == set(numbers)


def test_an_unreachable_customer_gets_no_message() -> None:
    number = people.phone(f"{people.UNREACHABLE}guest")
    assert number.endswith(UNDELIVERED_ENDING)
    assert phones.parse(number) == number
