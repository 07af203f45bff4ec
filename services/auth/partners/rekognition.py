"""Amazon Rekognition through the sidecar: boto3 signs, retries and parses; it opens no connection.

boto3 asks the handlers of its event `before-send` for a response before it opens a connection. The
handler here sends the request to the sidecar's Unix socket and always returns a response or raises,
so boto3 has no way out of its own. The SDK signs for http://rekognition.<region>.amazonaws.com;
the signature covers Host, and not the scheme. The handler sends that Host, the sidecar keeps it,
and adds TLS. The headers that Envoy adds are not signed, so they change nothing.
"""

import asyncio
import io
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
import urllib3
from urllib3.exceptions import HTTPError

from services.auth.faces import (
    Comparison,
    FacesUnavailable,
    Liveness,
    LivenessState,
)
from services.auth.partners.face_answers import (
    PARTNER,
    comparison_of,
    liveness_of,
    session_id_of,
)
from services.auth.pictures import PictureFault, PictureRefused
from services.chassis import unix_http
from services.chassis.http_client import log_no_answer, plain

SECRET = "external/rekognition"  # noqa: S105 - a path in OpenBao
ENDPOINT = "http://rekognition.{region}.amazonaws.com"
"""The sidecar adds TLS."""
ANSWER_BYTES_MAX = 8 * 1024 * 1024
"""The longest answer holds one reference picture, in base64."""
EVERY_SIMILARITY = 0.0
"""Rekognition returns a similarity for each face; the decision is the bank's own."""
MALFORMED = (ValueError, TypeError, AttributeError)
"""What the SDK's parser raises for JSON of another form, such as a list instead of an object."""
_UNREADABLE = {"InvalidImageFormatException", "ImageTooLargeException"}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Access:
    """The bank's access key for Rekognition, from OpenBao."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str

    @classmethod
    def of(cls, secret: Mapping[str, str]) -> "Access":
        """Return the access key of the secret `external/rekognition`."""
        return cls(secret["access_key_id"], secret["secret_access_key"], secret["region"])


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how many. `call_s` is the connect and the read timeout of one try."""

    call_s: float = 10.0
    retries_max: int = 3
    threads_max: int = 8
    waiting_max: int = 32
    """The largest number of calls that wait for a thread."""


class FacesBusy(FacesUnavailable):
    """Too many face checks are waiting. Please retry."""


class Refused(Exception):
    """Rekognition answered with an error that the SDK does not retry, or not again."""

    def __init__(self, kind: str) -> None:
        """`kind` is the AWS error type."""
        super().__init__(kind)
        self.kind = kind


class Rekognition:
    """The calls to Rekognition. boto3 blocks, so each call runs in one of a few threads.

    boto3 is imported at the first call, because it takes 30 MiB of memory and a second.
    """

    def __init__(self, socket_out: Path, access: Access, limits: Limits | None = None) -> None:
        self._socket_out = socket_out
        self._access = access
        self._limits = limits or Limits()
        self._threads = ThreadPoolExecutor(self._limits.threads_max, PARTNER)
        self._calls = 0
        self._making = threading.Lock()
        self._client: Any = None

    def close(self) -> None:
        """Refuse new calls and cancel waiting ones. Running ones end with their timeouts."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def create_liveness_session(self) -> str:
        """Return the id of a new liveness session; it expires after three minutes."""
        try:
            answer = await self._call("create_face_liveness_session")
        except Refused as refusal:
            raise _unexpected("create", refusal) from refusal
        return session_id_of(answer)

    async def liveness(self, session_id: str) -> Liveness:
        """Return the result of a liveness session. A session that AWS forgot counts as failed."""
        try:
            answer = await self._call("get_face_liveness_session_results", SessionId=session_id)
        except Refused as refusal:
            if refusal.kind == "SessionNotFoundException":
                return Liveness(LivenessState.FAILED)
            raise _unexpected("liveness", refusal) from refusal
        return liveness_of(answer)

    async def compare(self, reference: bytes, picture: bytes) -> Comparison:
        """Compare the reference's largest face with each face in a picture.

        Rekognition answers InvalidParameterException when a picture has no face.
        """
        try:
            answer = await self._call(
                "compare_faces",
                SourceImage={"Bytes": reference},
                TargetImage={"Bytes": picture},
                SimilarityThreshold=EVERY_SIMILARITY,
            )
        except Refused as refusal:
            if refusal.kind == "InvalidParameterException":
                return Comparison(faces=0)
            if refusal.kind in _UNREADABLE:
                raise PictureRefused(PictureFault.NOT_A_PICTURE) from refusal
            raise _unexpected("compare", refusal) from refusal
        return comparison_of(answer)

    async def _call(self, method: str, **request: Any) -> dict[str, Any]:
        if self._calls >= self._limits.threads_max + self._limits.waiting_max:
            raise FacesBusy
        self._calls += 1
        loop = asyncio.get_running_loop()
        running = self._threads.submit(self._blocking_call, method, request)
        # A caller that is cancelled leaves its thread running, so the thread's end is counted.
        running.add_done_callback(lambda _: self._ended(loop))
        return await asyncio.wrap_future(running)

    def _ended(self, loop: asyncio.AbstractEventLoop) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._count_down)

    def _count_down(self) -> None:
        self._calls -= 1

    def _blocking_call(self, method: str, request: dict[str, Any]) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            return getattr(self._made(), method)(**request)
        except ClientError as error:
            raise Refused(plain(error.response["Error"].get("Code"))) from error
        except (BotoCoreError, ResponseParserError, *MALFORMED) as error:
            log_no_answer(PARTNER, method, error)
            raise FacesUnavailable from error

    def _made(self) -> Any:
        with self._making:
            if self._client is None:
                self._client = _client(self._socket_out, self._access, self._limits)
            return self._client


def _client(socket_out: Path, access: Access, limits: Limits) -> Any:
    """Return a client that reads no environment variable, no file and no instance metadata."""
    import boto3.session
    import botocore.session
    from botocore.config import Config

    core = botocore.session.Session(session_vars=_no_environment())
    session = boto3.session.Session(
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        region_name=access.region,
        botocore_session=core,
    )
    config = Config(
        connect_timeout=limits.call_s,
        read_timeout=limits.call_s,
        retries={"mode": "standard", "total_max_attempts": 1 + limits.retries_max},
        proxies={},
    )
    made = session.client(
        PARTNER, endpoint_url=ENDPOINT.format(region=access.region), config=config
    )
    made.meta.events.register_first(f"before-send.{PARTNER}", _sender(socket_out, limits))
    return made


def _no_environment() -> dict[str, Any]:
    """Return botocore's settings without the environment variables and files that they name."""
    from botocore.session import Session

    names: Mapping[str, tuple[Any, Any, Any, Any]] = Session.SESSION_VARIABLES
    kept = {name: (None, None, default, kind) for name, (_, _, default, kind) in names.items()}
    empty = (None, None, os.devnull, None)
    return kept | {"config_file": empty, "credentials_file": empty}


def _sender(socket_out: Path, limits: Limits) -> Callable[..., Any]:
    """Return the handler that sends a request through the sidecar."""
    from botocore.awsrequest import AWSResponse
    from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, ReadTimeoutError

    pool = unix_http.Pool(str(socket_out), limits.threads_max)
    timeout = urllib3.Timeout(connect=limits.call_s, read=limits.call_s)

    def send(request: Any, **_: Any) -> Any:
        """Send a prepared request; raise botocore's errors, which its retry policy knows."""
        url = urlsplit(request.url)
        headers = {**dict(request.headers.items()), "Host": url.netloc}
        try:
            got = pool.urlopen(
                request.method,
                url.path or "/",
                body=request.body,
                headers=headers,
                retries=False,
                redirect=False,
                timeout=timeout,
                preload_content=False,
                decode_content=False,
            )
            body = _read(got)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
        except urllib3.exceptions.ConnectTimeoutError as error:
            raise ConnectTimeoutError(endpoint_url=request.url, error=error) from error
        except (HTTPError, OSError) as error:
            raise ConnectionClosedError(endpoint_url=request.url, error=error) from error
        raw = urllib3.HTTPResponse(io.BytesIO(body), preload_content=False)
        return AWSResponse(request.url, got.status, got.headers, raw)

    return send


def _read(response: urllib3.BaseHTTPResponse) -> bytes:
    """Return the body and give the connection back; a longer body counts as a broken connection."""
    body = response.read(ANSWER_BYTES_MAX + 1)
    if len(body) > ANSWER_BYTES_MAX:
        response.close()
        raise urllib3.exceptions.ProtocolError(f"the answer exceeds {ANSWER_BYTES_MAX} bytes")
    response.release_conn()
    return body


def _unexpected(call: str, refusal: Refused) -> FacesUnavailable:
    """Log an error of Rekognition that says nothing about the face, such as a bad signature."""
    log.warning(f"{PARTNER}.unexpected_answer", call=call, code=refusal.kind)
    return FacesUnavailable(refusal.kind)
