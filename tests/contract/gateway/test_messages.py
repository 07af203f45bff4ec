"""What the gateway says about a wrong request: what is wrong, and what is expected, in words."""

import json
from typing import Any

import pytest

from gateway import replies
from tests.rigs.mesh.gateway import BODY, SUBJECT, TRANSFER, Answer, Gateway

NOT_JSON = "The body is not JSON. Send a JSON object."
NO_OBJECT = "The body is JSON but not an object. Send a JSON object."
BODIES = [
    (b"hello", NOT_JSON),
    (b"'a'", NOT_JSON),
    (b"[1", NOT_JSON),
    (b"}", NOT_JSON),
    (b"[1, {}]", NO_OBJECT),
    (b' "a" ', NO_OBJECT),
    (b"-1.5e3", NO_OBJECT),
    (b"null", NO_OBJECT),
]


@pytest.mark.parametrize(("body", "message"), BODIES)
async def test_a_body_that_is_no_json_object_is_refused_in_words(
    gateway: Gateway, body: bytes, message: str
) -> None:
    answer = await _post(gateway, body)
    assert (answer.status, answer.reason) == (400, "MALFORMED_BODY")
    assert answer.json["message"] == message
    assert answer.violations == {"": "must be a JSON object"}


ACCOUNT_TYPES = "must be one of CHECKING, SAVINGS"
UNIT = "must be a whole number of minor units (cents)"


@pytest.mark.parametrize("value", ["GOLD", 1, "checking"])
async def test_the_answer_to_an_unknown_enum_value_names_the_values(
    gateway: Gateway, value: Any
) -> None:
    beneficiary: dict[str, Any] = BODY["beneficiary"] | {"accountType": value}
    answer = await _post(gateway, _with(beneficiary=beneficiary))
    assert answer.violations == {"beneficiary.accountType": ACCOUNT_TYPES}


async def test_the_answer_to_an_unknown_state_names_the_states(gateway: Gateway) -> None:
    answer = await gateway.call("GET", f"{TRANSFER}?state=LOST")
    words = answer.violations["state"]
    assert words.startswith("must be one of ")
    assert {"SUBMITTED", "RETURNED"} <= set(words.removeprefix("must be one of ").split(", "))
    assert "UNSPECIFIED" not in words


@pytest.mark.parametrize("value", ["1.5", 12.5, True, "ten"])
async def test_the_answer_to_a_wrong_amount_names_the_unit(gateway: Gateway, value: Any) -> None:
    answer = await _post(gateway, _with(amount={"currencyCode": "USD", "minorUnits": value}))
    assert answer.violations == {"amount.minorUnits": UNIT}


INT64 = f"{UNIT} from -9223372036854775808 to 9223372036854775807"


@pytest.mark.parametrize("value", [99999999999999999999, "-9223372036854775809"])
async def test_the_answer_to_an_amount_out_of_range_names_unit_and_range(
    gateway: Gateway, value: Any
) -> None:
    answer = await _post(gateway, _with(amount={"currencyCode": "USD", "minorUnits": value}))
    assert answer.violations == {"amount.minorUnits": INT64}


async def test_the_answer_to_a_page_size_out_of_range_names_the_range(gateway: Gateway) -> None:
    answer = await gateway.call("GET", f"{TRANSFER}?pageSize=2147483648")
    assert answer.violations == {"pageSize": "must be an integer from 0 to 2147483647"}


async def test_the_answer_to_an_amount_that_is_a_number_names_the_fields(gateway: Gateway) -> None:
    answer = await _post(gateway, _with(amount=1000))
    assert answer.violations == {"amount": "must be an object with currencyCode and minorUnits"}


WRONG = [
    (b'{"memo": 5}', "memo"),
    (b'{"memo": "a', "memo"),
    (b'{"memo": "\n"}', "memo"),
    (b'{"memo": "\\x"}', "memo"),
    (b'{"memo" "a"}', "memo"),
    (b'{"memo": "a", "memo": "b"}', "memo"),
    (b'{"cents": 5}', "cents"),
    (b'{"memo": "a" "amount": {}}', ""),
    (b"{memo: 5}", ""),
    (b"{} {}", ""),
]


@pytest.mark.parametrize(("body", "field"), WRONG)
async def test_every_description_says_what_must_be(
    gateway: Gateway, body: bytes, field: str
) -> None:
    answer = await _post(gateway, body)
    assert [*answer.violations] == [field]
    assert answer.violations[field].startswith("must "), answer.violations


async def test_only_a_token_that_was_sent_is_called_invalid(gateway: Gateway) -> None:
    """RFC 6750, 3.1: the challenge to a request without a token has no error code."""
    plain = 'Bearer realm="api.bp.example"'
    for token, challenge in (
        (None, plain),
        (gateway.issuer.token(SUBJECT, lives_s=-60), f'{plain}, error="invalid_token"'),
    ):
        answer = await gateway.call("GET", "/v1/accounts", token=token)
        assert (answer.status, answer.reason) == (401, "UNAUTHENTICATED")
        assert answer.headers.getall("www-authenticate") == [challenge]


async def test_a_token_that_only_a_service_refuses_is_called_invalid(gateway: Gateway) -> None:
    """RFC 9110, 15.5.2: each 401 has a challenge."""
    answer = await _post(gateway, _with(memo="no customer"))
    assert (answer.status, answer.reason) == (401, "UNAUTHENTICATED")
    assert answer.headers.getall("www-authenticate") == [replies.INVALID_TOKEN]


async def test_the_answer_to_a_missing_scope_names_all_scopes(gateway: Gateway) -> None:
    token = gateway.issuer.token(SUBJECT, "accounts:read")
    answer = await gateway.call("GET", "/v1/accounts/a/entries", token=token)
    assert (answer.status, answer.reason) == (403, "SCOPE_MISSING")
    assert answer.info["metadata"] == {"scopes": "accounts:read transfers:read"}


async def test_the_answer_to_a_large_body_names_the_limit(gateway: Gateway) -> None:
    answer = await _post(gateway, b" " * (replies.BODY_KIB_MAX * 1024 - 2) + b"{}")
    assert answer.status != 413
    answer = await _post(gateway, b" " * (replies.BODY_KIB_MAX * 1024) + b"{}")
    assert (answer.status, answer.reason) == (413, "REQUEST_TOO_LARGE")
    assert "at most 64 KiB" in answer.json["message"]


def _with(**changes: Any) -> bytes:
    return json.dumps(BODY | changes).encode()


async def _post(gateway: Gateway, body: bytes) -> Answer:
    return await gateway.call(
        "POST", TRANSFER, data=body, headers={"Content-Type": "application/json"}
    )
