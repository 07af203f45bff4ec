"""Signature Version 4: verifies that a request comes from the holder of a secret access key.

Follows "Create a signed AWS API request" in the AWS IAM user guide. Pure: the caller passes the
request's parts and the current time.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

from sandbox.partners.rekognition.errors import AwsError

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "rekognition"
SKEW = timedelta(minutes=5)
DATE_FORM = "%Y%m%dT%H%M%SZ"
_PARTS = re.compile(r"\s*(Credential|SignedHeaders|Signature)=([^,\s]+)\s*")
_UNRESERVED = "-_.~"


@dataclass(frozen=True, slots=True)
class Request:
    """The signed parts of a request. Header names are in lower case; `body` is the payload."""

    method: str
    path: str
    query: str
    headers: Mapping[str, tuple[str, ...]]
    body: bytes

    def header(self, name: str) -> str:
        """Return a header's first value; "" when it is absent."""
        return self.headers.get(name, ("",))[0]


@dataclass(frozen=True, slots=True)
class Key:
    """An access key of one account, valid in one region."""

    access_key_id: str
    secret_access_key: str
    region: str


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the Authorization header says."""

    credential: tuple[str, ...]
    signed: tuple[str, ...]
    signature: str


def verify(request: Request, key: Key, now: datetime) -> None:
    """Raise the AwsError with which AWS refuses a request that is unsigned or wrongly signed."""
    claim = _claim(request.header("authorization"))
    moment = _moment(request)
    _check_credential(claim.credential, key, moment)
    _check_signed(claim.signed, request)
    _check_time(moment, now)
    expected = _signature(request, claim, key, moment)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise _invalid(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. "
            "Consult the service documentation for details."
        )


def _claim(authorization: str) -> _Claim:
    if not authorization:
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token")
    algorithm, _, rest = authorization.partition(" ")
    found = [_PARTS.fullmatch(part) for part in rest.split(",")]
    parts = {match[1]: match[2] for match in found if match}
    if algorithm != ALGORITHM or len(parts) != len(found):
        raise _incomplete("Authorization header has an unknown algorithm or part.")
    for name in ("Credential", "Signature", "SignedHeaders"):
        if name not in parts:
            raise _incomplete(f"Authorization header requires '{name}' parameter.")
    signed = tuple(parts["SignedHeaders"].split(";"))
    return _Claim(tuple(parts["Credential"].split("/")), signed, parts["Signature"])


def _moment(request: Request) -> datetime:
    text = request.header("x-amz-date")
    try:
        return datetime.strptime(text, DATE_FORM).replace(tzinfo=UTC)
    except ValueError as error:
        raise _incomplete("Authorization header requires a valid 'X-Amz-Date'.") from error


def _check_credential(credential: tuple[str, ...], key: Key, moment: datetime) -> None:
    if len(credential) != 5:
        raise _incomplete("Credential must have five parts, separated by '/'.")
    access_key_id, date, region, service, end = credential
    if not hmac.compare_digest(access_key_id.encode(), key.access_key_id.encode()):
        raise AwsError(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )
    if region != key.region:
        raise _invalid("Credential should be scoped to a valid region.")
    if service != SERVICE:
        raise _invalid(f"Credential should be scoped to correct service: '{SERVICE}'.")
    if end != "aws4_request" or date != f"{moment:%Y%m%d}":
        raise _invalid("Date in Credential scope does not match YYYYMMDD from X-Amz-Date.")


def _check_signed(signed: tuple[str, ...], request: Request) -> None:
    """Refuse a request whose host, target or date another party could exchange."""
    needed = {"host", *(name for name in request.headers if name.startswith("x-amz-"))}
    if missing := sorted(needed - set(signed)):
        raise _invalid(f"'{missing[0]}' must be a 'SignedHeader' in the AWS Authorization.")
    if list(signed) != sorted(set(signed)):
        raise _invalid("SignedHeaders must be sorted and must not repeat a name.")


def _check_time(moment: datetime, now: datetime) -> None:
    shown = f"{now:{DATE_FORM}}"
    if moment < now - SKEW:
        earliest = f"{now - SKEW:{DATE_FORM}}"
        raise _invalid(
            f"Signature expired: {moment:{DATE_FORM}} is now earlier than {earliest} "
            f"({shown} - 5 min.)"
        )
    if moment > now + SKEW:
        latest = f"{now + SKEW:{DATE_FORM}}"
        raise _invalid(
            f"Signature not yet current: {moment:{DATE_FORM}} is still later than {latest} "
            f"({shown} + 5 min.)"
        )


def _signature(request: Request, claim: _Claim, key: Key, moment: datetime) -> str:
    scope = "/".join(claim.credential[1:])
    canonical = hashlib.sha256(_canonical(request, claim.signed).encode()).hexdigest()
    text = "\n".join((ALGORITHM, f"{moment:{DATE_FORM}}", scope, canonical))
    secret = f"AWS4{key.secret_access_key}".encode()
    for part in claim.credential[1:]:
        secret = _mac(secret, part)
    return _mac(secret, text).hex()


def _canonical(request: Request, signed: tuple[str, ...]) -> str:
    headers = "".join(f"{name}:{_value(request, name)}\n" for name in signed)
    pairs = parse_qsl(request.query, keep_blank_values=True)
    encoded = sorted((quote(k, safe=_UNRESERVED), quote(v, safe=_UNRESERVED)) for k, v in pairs)
    query = "&".join(f"{name}={value}" for name, value in encoded)
    digest = hashlib.sha256(request.body).hexdigest()
    path = quote(request.path, safe="/~")
    return "\n".join((request.method, path, query, headers, ";".join(signed), digest))


def _value(request: Request, name: str) -> str:
    return ",".join(" ".join(value.split()) for value in request.headers.get(name, ()))


def _mac(secret: bytes, text: str) -> bytes:
    return hmac.new(secret, text.encode(), hashlib.sha256).digest()


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidSignatureException", message)


def _incomplete(message: str) -> AwsError:
    return AwsError("IncompleteSignatureException", message)
