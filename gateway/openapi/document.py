"""docs/openapi.json: the REST API as OpenAPI 3.1, built only from the contracts.

    buf build -o full.binpb --as-file-descriptor-set
    python -m gateway.openapi.document full.binpb docs/openapi.json

The set must include source info, because the descriptions come from the comments of proto/. Each
element there has a comment with its unit, its range and the error reasons for bad values.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import EnumDescriptor

from gateway.openapi.comments import Comments
from gateway.openapi.examples import EXAMPLES
from gateway.openapi.links import Method, links
from gateway.openapi.schemas import Schemas
from gateway.replies import (
    BODY_KIB_MAX,
    NO_LENGTH,
    PUBLIC_BODY_KIB_MAX,
    REPLIES,
    TOO_LARGE,
    status_json,
    too_large_message,
)
from gateway.routes import BodyKind, GatewayRoute, gateway_routes
from services import contracts
from services.contracts import Audience, MethodContract

_ERROR = "#/components/schemas/Error"
_REASON_STATUS = re.compile(r"\b([45]\d\d)\b")
_GATEWAY_STATUSES = (400, 413, 429, 431, 500, 503, 504)


def document(descriptor_set: bytes) -> dict[str, Any]:
    """Return the whole document."""
    known = contracts.load(descriptor_set)
    comments = Comments(descriptor_set)
    schemas, failures = Schemas(comments), _Failures()
    reasons = _reasons(descriptor_set, comments)
    paths: dict[str, dict[str, Any]] = {}
    routes = gateway_routes(known)
    methods = {route.method: Method(route, known[route.method]) for route in routes}
    for route in sorted(routes, key=lambda each: (each.template, each.verb)):
        contract = known[route.method]
        operation = _operation(route, contract, schemas, failures, comments, reasons)
        leading = links(methods[route.method], methods)
        if leading:
            operation["responses"]["200"]["links"] = leading
        paths.setdefault(_path(route, contract), {})[route.verb.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "servers": [{"url": "https://localhost:8443", "description": "The bank on one machine."}],
        "tags": _tags(known, comments),
        "paths": paths,
        "components": {
            "schemas": {"Error": _error_schema(reasons), **schemas.components()},
            "responses": dict(sorted(failures.components.items())),
            "securitySchemes": _SECURITY,
        },
    }


_INFO = {
    "title": "BP banking API",
    "version": "1.0.0",
    "summary": "Logins, transfers, balances, accounts, statements, messages.",
    "description": (
        "Amounts are in minor units (cents); int64 is a JSON string. Unknown fields are rejected. "
        "Answers use lowerCamelCase. Requests may also use the contract's names in snake_case, "
        "such as account_id for accountId. "
        "Every error is a google.rpc.Status with an ErrorInfo whose reason names the cause."
    ),
}
_SECURITY = {
    "customer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "ES256 token of the bank's OAuth provider; claim `scope` lists the scopes.",
    },
    "partner": {"type": "mutualTLS", "description": "Client certificate of the partner."},
}
_ETAG = {
    "ETag": {"description": "The resource's field `etag`.", "schema": {"type": "string"}},
}
_NOT_MODIFIED = {
    "description": "The caller already has the current resource; no body.",
    "headers": _ETAG,
}
_KNOWN_HEADER = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "Entity tags that the caller has, or `*`. If one is current, the answer is 304.",
    "schema": {"type": "string", "maxLength": 255, "pattern": "^[ -~]*$"},
    "example": '"2"',
}
_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": (
        "Identifies the request. A retry with the same key and payload is answered again, but "
        "executed only once, for 400 days. The answer is the first one as it was stored: fields "
        "that the bank has added since then are empty in it. A different payload or kind of "
        "transfer is an error (IDEMPOTENCY_KEY_REUSED)."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "example": "8f14e45f-ceea-467f-a0e6-5d9c1c1f2b3a",
}


def _path(route: GatewayRoute, contract: MethodContract) -> str:
    path = route.template
    for name in route.variables:
        path = path.replace(f"{{{name}}}", f"{{{_json_name(contract, name)}}}")
    return path


def _json_name(contract: MethodContract, field: str) -> str:
    return contract.request.fields_by_name[field].json_name


def _operation(
    route: GatewayRoute,
    contract: MethodContract,
    schemas: Schemas,
    failures: "_Failures",
    comments: Comments,
    reasons: Mapping[str, list[tuple[str, int]]],
) -> dict[str, Any]:
    text = comments.of(f"{contract.service}.{contract.name}")
    operation: dict[str, Any] = {
        "operationId": contract.name,
        "tags": [contract.service.rpartition(".")[2].removesuffix("Service")],
        "summary": text.split(". ")[0].rstrip("."),
        "description": text,
        "security": _security(contract),
        "parameters": list(_parameters(route, contract, schemas)),
        "responses": _responses(route, contract, schemas, failures, reasons),
    }
    if route.body is not BodyKind.NONE:
        operation["requestBody"] = _body(route, contract, schemas)
    return operation


def _security(contract: MethodContract) -> list[dict[str, list[str]]]:
    if contract.audience is Audience.CUSTOMER:
        return [{"customer": list(contract.scopes)}]
    if contract.audience is Audience.PARTNER:
        return [{"partner": []}]
    return []


def _parameters(
    route: GatewayRoute, contract: MethodContract, schemas: Schemas
) -> Iterator[dict[str, Any]]:
    if route.idempotency_key_required:
        yield _KEY_HEADER
    if route.has_etag:
        yield _KNOWN_HEADER
    for name in route.variables:
        field = contract.request.fields_by_name[name]
        yield schemas.parameter(field, "path", required=True)
    if route.body is BodyKind.NONE:
        for field in contract.request.fields:
            if field.name not in route.variables and field.message_type is None:
                yield schemas.parameter(field, "query", required=schemas.is_required(field))


def _body(route: GatewayRoute, contract: MethodContract, schemas: Schemas) -> dict[str, Any]:
    if route.body is BodyKind.RAW:
        schema = {"type": "object", "description": "The notice, exactly as the partner signed it."}
        return {"required": True, "content": {"application/json": {"schema": schema}}}
    content: dict[str, Any] = {"schema": schemas.body(contract.request, set(route.variables))}
    if contract.name in EXAMPLES:
        content["example"] = EXAMPLES[contract.name]["request"]
    fields = (each for each in contract.request.fields if each.name not in route.variables)
    needed = any(schemas.is_required(each) for each in fields)
    return {"required": needed, "content": {"application/json": content}}


def _responses(
    route: GatewayRoute,
    contract: MethodContract,
    schemas: Schemas,
    failures: "_Failures",
    reasons: Mapping[str, list[tuple[str, int]]],
) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schemas.reference(Method(route, contract).answer)}
    if contract.name in EXAMPLES:
        content["example"] = EXAMPLES[contract.name]["response"]
    answers: dict[str, Any] = {
        "200": {"description": "The call succeeded.", "content": {"application/json": content}}
    }
    if route.has_etag:
        answers["200"]["headers"] = _ETAG
        answers["304"] = _NOT_MODIFIED
    for status, names in sorted(_failures(route, contract, reasons).items()):
        limit = route.body_limit(BODY_KIB_MAX * 1024, PUBLIC_BODY_KIB_MAX * 1024)
        answers[str(status)] = failures.reference(status, names, limit)
    return answers


class _Failures:
    """Collects the error responses, so that operations with equal responses share them."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, tuple[str, ...], int], str] = {}
        self.components: dict[str, dict[str, Any]] = {}

    def reference(self, status: int, reasons: list[str], body_bytes: int) -> dict[str, str]:
        """Return a reference to the response for a status with these reasons.

        A 413 also says `body_bytes`, the method's largest body.
        """
        key = (status, tuple(reasons), body_bytes if status == TOO_LARGE else 0)
        if key not in self._names:
            alike = sum(1 for known, *_ in self._names if known == status)
            self._names[key] = f"Error{status}" + (chr(ord("A") + alike) if alike else "")
            self.components[self._names[key]] = _failure(status, reasons, body_bytes)
        return {"$ref": f"#/components/responses/{self._names[key]}"}


def _failures(
    route: GatewayRoute,
    contract: MethodContract,
    reasons: Mapping[str, list[tuple[str, int]]],
) -> dict[int, list[str]]:
    """Return the reasons by HTTP status: the gateway's own, then the domain's."""
    found: dict[int, list[str]] = {status: [] for status in _GATEWAY_STATUSES}
    found[403] = []
    if contract.audience is Audience.CUSTOMER:
        found[401] = []
    if route.body is not BodyKind.RAW:
        found[406] = []
    if route.body is not BodyKind.NONE:
        found[415] = []
    if route.idempotency_key_required:
        found[409] = []
    if route.accepts_large:
        found[NO_LENGTH] = []
    own = ".".join(contract.service.split(".")[:3])
    for package in ("bp.policy.v1", own):
        for reason, status in reasons.get(package, []):
            if package == own and status not in found:
                found[status] = []
            if status in found and _may_have(contract, reason):
                found[status].append(reason)
    return found


def _may_have(contract: MethodContract, reason: str) -> bool:
    """Return whether a method may have a reason that is not for all methods."""
    public = contract.audience is Audience.PUBLIC
    return {
        "SCOPE_MISSING": contract.audience is Audience.CUSTOMER,
        "CALLER_FORBIDDEN": not public,
        "ORIGIN_FORBIDDEN": public,
        "STEP_UP_REQUIRED": contract.step_up is not None,
    }.get(reason, True)


def _failure(status: int, names: list[str], body_bytes: int) -> dict[str, Any]:
    reply = next((each for each in REPLIES if each.http == status), None)
    if reply and status == TOO_LARGE:
        reply = replace(reply, message=too_large_message(body_bytes))
    text = reply.message if reply else "The request conflicts with an earlier one."
    said = f"{text} Reasons: {', '.join(names)}." if names else text
    answer: dict[str, Any] = {
        "description": said,
        "content": {"application/json": {"schema": {"$ref": _ERROR}}},
    }
    if reply:
        answer["content"]["application/json"]["example"] = status_json(reply)
        if reply.retry_after_s:
            seconds = {
                "description": "Seconds to wait before a retry.",
                "schema": {"type": "integer"},
            }
            answer["headers"] = {"Retry-After": seconds}
    return answer


def _reasons(descriptor_set: bytes, comments: Comments) -> dict[str, list[tuple[str, int]]]:
    """Return each package's error reasons with the HTTP statuses in their comments."""
    found: dict[str, list[tuple[str, int]]] = {}
    for package, enum in _reason_enums(descriptor_set):
        for value in enum.values:
            said = _REASON_STATUS.findall(comments.of(f"{enum.full_name}.{value.name}"))
            for status in said:
                found.setdefault(package, []).append((value.name, int(status)))
    return found


def _reason_enums(descriptor_set: bytes) -> Iterator[tuple[str, EnumDescriptor]]:
    pool = contracts.pool_of(descriptor_set)
    for name in contracts.file_names(descriptor_set):
        if name.endswith("_errors.proto"):
            file = pool.FindFileByName(name)
            for enum in file.enum_types_by_name.values():
                yield file.package, enum


def _error_schema(reasons: Mapping[str, list[tuple[str, int]]]) -> dict[str, Any]:
    names = sorted({name for each in reasons.values() for name, _ in each})
    info = {
        "type": "object",
        "required": ["@type"],
        "properties": {
            "@type": {"type": "string"},
            "reason": {"type": "string", "enum": names},
            "domain": {"type": "string", "examples": sorted(reasons)},
            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "additionalProperties": True,
    }
    return {
        "type": "object",
        "description": "google.rpc.Status in JSON.",
        "required": ["code", "message", "details"],
        "properties": {
            "code": {"type": "integer", "description": "google.rpc.Code."},
            "message": {
                "type": "string",
                "description": "For a developer: what happened and what to do.",
            },
            "details": {"type": "array", "items": info},
        },
    }


def _tags(known: Mapping[str, MethodContract], comments: Comments) -> list[dict[str, str]]:
    services = dict.fromkeys(each.service for each in known.values() if each.http)
    return [
        {
            "name": name.rpartition(".")[2].removesuffix("Service"),
            "description": comments.of(name),
        }
        for name in sorted(services)
    ]


def main(arguments: list[str]) -> int:
    """Write the document and return 0, or return 2 when the arguments are not two paths."""
    if len(arguments) != 2:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    made = document(Path(arguments[0]).read_bytes())
    Path(arguments[1]).write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
