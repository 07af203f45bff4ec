"""Answers and errors of the AWS JSON 1.1 protocol.

An error is `{"__type", "message"}` with the headers x-amzn-RequestId and x-amzn-errortype. The SDKs
choose the exception and decide on a retry by the type, not only by the status.
"""

import uuid
from typing import Any

import orjson
from aiohttp import web

CONTENT_TYPE = "application/x-amz-json-1.1"
BAD_REQUEST = 400


class AwsError(Exception):
    """Rekognition refuses a request: an AWS error type, its message and the HTTP status."""

    def __init__(self, kind: str, message: str, status: int = BAD_REQUEST) -> None:
        """`kind` is the exception's name in the service's API reference."""
        super().__init__(message)
        self.kind = kind
        self.status = status


def invalid_parameter() -> AwsError:
    """Return the error for a value outside its range, and for a picture without a face."""
    return AwsError("InvalidParameterException", "Request has invalid parameters")


def throttled() -> AwsError:
    """Return the error for a caller that exceeds its request rate."""
    return AwsError("ProvisionedThroughputExceededException", "Provisioned rate exceeded")


def answered(body: Any) -> web.Response:
    """Return a success with a JSON body."""
    return _response(body, 200, {})


def refused(status: int, kind: str, message: str) -> web.Response:
    """Return an error."""
    return _response({"__type": kind, "message": message}, status, {"x-amzn-errortype": kind})


def _response(body: Any, status: int, headers: dict[str, str]) -> web.Response:
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        headers={"x-amzn-RequestId": str(uuid.uuid4()), **headers},
        content_type=CONTENT_TYPE,
    )
