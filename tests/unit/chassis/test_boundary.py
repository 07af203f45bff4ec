"""The error that a caller gets when a handler raises an exception."""

import asyncpg
import grpc
import grpc.aio
import pytest

from services.chassis.boundary import translate


def _from_another_service(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


ERRORS = [
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
