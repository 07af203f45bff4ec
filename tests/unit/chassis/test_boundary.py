"""The error that a caller gets when a handler raises an exception."""

import asyncpg
import grpc
import grpc.aio
import pytest

from services.chassis import boundary
from services.chassis.boundary import CallLimit, translate
from services.kernel import errors
from services.kernel.errors import RateLimited


def _from_another_service(code: grpc.StatusCode, retry_after: str = "") -> grpc.aio.AioRpcError:
    trailers = grpc.aio.Metadata(*([("retry-after", retry_after)] if retry_after else []))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers)


ERRORS = [
    (asyncpg.LockNotAvailableError(), "DEPENDENCY_UNAVAILABLE"),
    (_from_another_service(grpc.StatusCode.RESOURCE_EXHAUSTED), "INTERNAL_ERROR"),
    (_from_another_service(grpc.StatusCode.RESOURCE_EXHAUSTED, "1"), "DEPENDENCY_UNAVAILABLE"),
    (_from_another_service(grpc.StatusCode.UNAVAILABLE), "DEPENDENCY_UNAVAILABLE"),
    (_from_another_service(grpc.StatusCode.DEADLINE_EXCEEDED), "DEPENDENCY_UNAVAILABLE"),
    (_from_another_service(grpc.StatusCode.CANCELLED), "DEPENDENCY_UNAVAILABLE"),
    (_from_another_service(grpc.StatusCode.UNKNOWN), "INTERNAL_ERROR"),
    (asyncpg.CannotConnectNowError(), "DEPENDENCY_UNAVAILABLE"),
    (asyncpg.InternalClientError(), "DEPENDENCY_UNAVAILABLE"),
    (ConnectionResetError(), "DEPENDENCY_UNAVAILABLE"),
    (TimeoutError(), "DEADLINE_EXCEEDED"),
    (KeyError(), "INTERNAL_ERROR"),
]


@pytest.mark.parametrize(("raised", "reason"), ERRORS)
def test_an_outage_is_a_503_and_a_defect_is_a_500(raised: Exception, reason: str) -> None:
    assert translate(raised, "/bp.payments.v1.PaymentsService/Any").reason == reason


def test_calls_beyond_the_limit_are_refused_until_one_ends() -> None:
    limit = CallLimit(2)
    with limit.place():
        with pytest.raises(KeyError), limit.place():
            raise KeyError
        with limit.place(), pytest.raises(RateLimited) as refused, limit.place():
            pytest.fail("a third call was admitted")
        assert refused.value.retry_after_s
        with limit.place():
            pass


def test_the_lines_of_a_header_become_one_list() -> None:
    pairs = [("ach-signature", "t=1,v1=a"), ("other", "x"), ("ach-signature", "v1=b"), ("b", b"c")]
    joined = boundary.text_metadata(pairs)
    assert joined == {"ach-signature": "t=1,v1=a, v1=b", "other": "x"}


def test_a_key_that_was_sent_twice_is_no_key() -> None:
    pairs = [("idempotency-key", "one"), ("idempotency-key", "two")]
    with pytest.raises(errors.IdempotencyKeyInvalid):
        boundary._require_key(boundary.text_metadata(pairs)["idempotency-key"])
