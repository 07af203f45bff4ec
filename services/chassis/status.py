"""Translates the bank's errors to google.rpc.Status, for the boundary."""

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from services.kernel.errors import BankError

GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}


def to_status(error: BankError) -> status_pb2.Status:
    """Return the Status with ErrorInfo, and BadRequest and RetryInfo where they apply."""
    details: list[Message] = [
        error_details_pb2.ErrorInfo(
            reason=error.reason, domain=error.domain, metadata=error.metadata
        )
    ]
    if error.violations:
        bad_request = error_details_pb2.BadRequest()
        for violation in error.violations:
            bad_request.field_violations.add(
                field=violation.field, description=violation.description
            )
        details.append(bad_request)
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.seconds = error.retry_after_s
        details.append(retry)
    status = status_pb2.Status(code=error.code.value, message=error.message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def trailing_metadata(error: BankError, status: status_pb2.Status) -> list[tuple[str, str | bytes]]:
    """Return the trailers: the status, and Retry-After in seconds for the gateway."""
    trailers: list[tuple[str, str | bytes]] = [
        ("grpc-status-details-bin", status.SerializeToString())
    ]
    if error.retry_after_s is not None:
        trailers.append(("retry-after", str(error.retry_after_s)))
    return trailers
