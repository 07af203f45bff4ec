"""What proto/ says of each method, read from the descriptor set into plain values.

The one reader of the bp.policy.v1 options and of google.api.http: the gateway, the mesh, the
servers' interceptors, log redaction and the OpenAPI document all start from `load`. A method
whose policy is incomplete or contradicts itself is refused here, so that nothing is built from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import bp
from bp.policy.v1 import policy_pb2
from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

# The stubs of generated extensions are typed as bare field descriptors, which GetOptions'
# accessors do not take; one cast each instead of four.
_METHOD_POLICY: Any = policy_pb2.method
_PERSONAL_DATA: Any = policy_pb2.personal_data
_HTTP: Any = annotations_pb2.http


class Audience(StrEnum):
    """Who stands behind a call; the names of bp.policy.v1.Audience."""

    PUBLIC = "PUBLIC"
    CUSTOMER = "CUSTOMER"
    PARTNER = "PARTNER"
    INTERNAL = "INTERNAL"


class ContractError(ValueError):
    """A method's policy is missing, incomplete or contradicts itself: complete it in proto/."""

    def __init__(self, method: str, problem: str) -> None:
        super().__init__(f"{method}: {problem}")
        self.method = method
        self.problem = problem


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """One REST face of a method, as google.api.http has it."""

    verb: str
    """GET, POST, PUT, PATCH or DELETE."""
    path: str
    """Template such as "/v1/transfers/interbank/{transfer_id}:cancel"."""
    body: str
    """Field that the body fills, "*" for all that the path leaves, empty for none."""
    response_body: str
    """Field of the response that is the body; empty for the whole."""


@dataclass(frozen=True, slots=True)
class MethodContract:
    """All that proto/ says of one method."""

    path: str
    """Full gRPC path, "/bp.payments.v1.PaymentsService/CreateInterbankTransfer"."""
    audience: Audience
    scopes: tuple[str, ...]
    """OAuth scopes that a customer's token must hold, all of them."""
    partners: tuple[str, ...]
    services: tuple[str, ...]
    """Service accounts that may call from inside the mesh (besides the gateway)."""
    deadline_ms: int
    rate_limit_class: str
    """READ, WRITE, WEBHOOK or MESH."""
    idempotency_key_required: bool
    http: tuple[HttpRoute, ...]
    request: Descriptor
    response: Descriptor
    personal_fields: frozenset[str]
    """Full names of the fields with personal data that request or response can hold."""

    @property
    def service(self) -> str:
        """Full name of the gRPC service, "bp.payments.v1.PaymentsService"."""
        return self.path[1:].partition("/")[0]

    @property
    def deployable(self) -> str:
        """Name of the deployable that serves it: the domain in the package, "payments"."""
        return self.service.split(".")[1]

    @property
    def name(self) -> str:
        """The method alone, "CreateInterbankTransfer"."""
        return self.path.rpartition("/")[2]


def default_descriptor_set() -> bytes:
    """Return the committed descriptor set, gen/descriptor.binpb."""
    return Path(next(iter(bp.__path__))).with_name("descriptor.binpb").read_bytes()


def pool_of(descriptor_set: bytes) -> DescriptorPool:
    """Return a pool of its own with every file of a serialised FileDescriptorSet."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(descriptor_set).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def file_names(descriptor_set: bytes) -> list[str]:
    """Return the names of the files in a serialised set."""
    return [file.name for file in FileDescriptorSet.FromString(descriptor_set).file]


def load(descriptor_set: bytes | None = None) -> dict[str, MethodContract]:
    """Return every method's contract under its full gRPC path, in the order of the set.

    Without an argument the committed descriptor set is read. Raises ContractError for the first
    method whose policy cannot stand.
    """
    serialised = default_descriptor_set() if descriptor_set is None else descriptor_set
    pool = pool_of(serialised)
    contracts: dict[str, MethodContract] = {}
    for file in FileDescriptorSet.FromString(serialised).file:
        for service in file.service:
            for method in pool.FindServiceByName(f"{file.package}.{service.name}").methods:
                contract = _contract(method)
                contracts[contract.path] = contract
    return contracts


def deployables(contracts: dict[str, MethodContract]) -> dict[str, tuple[str, ...]]:
    """Return the gRPC services of each deployable, {"payments": ("bp.payments.v1.…",)}."""
    found: dict[str, dict[str, None]] = {}
    for contract in contracts.values():
        found.setdefault(contract.deployable, {})[contract.service] = None
    return {name: tuple(services) for name, services in found.items()}


def _contract(method: MethodDescriptor) -> MethodContract:
    path = f"/{method.containing_service.full_name}/{method.name}"
    options = method.GetOptions()
    if not options.HasExtension(_METHOD_POLICY):
        raise ContractError(path, "has no (bp.policy.v1.method) option")
    policy: policy_pb2.MethodPolicy = options.Extensions[_METHOD_POLICY]
    http = tuple(_http_routes(options.Extensions[_HTTP]))
    _refuse_incomplete(path, policy)
    _refuse_contradictions(path, policy, bool(http))
    seen: set[str] = set()
    personal = frozenset(
        name for side in (method.input_type, method.output_type) for name in _personal(side, seen)
    )
    return MethodContract(
        path=path,
        audience=Audience(policy_pb2.Audience.Name(policy.audience)),
        scopes=tuple(policy.scopes),
        partners=tuple(policy.partners),
        services=tuple(policy.services),
        deadline_ms=policy.deadline.ToMilliseconds(),
        rate_limit_class=policy_pb2.RateLimitClass.Name(policy.rate_limit_class),
        idempotency_key_required=policy.idempotency_key_required,
        http=http,
        request=method.input_type,
        response=method.output_type,
        personal_fields=personal,
    )


def _refuse_incomplete(path: str, policy: policy_pb2.MethodPolicy) -> None:
    if policy.audience == policy_pb2.AUDIENCE_UNSPECIFIED:
        raise ContractError(path, "the policy has no audience")
    if policy.deadline.ToMilliseconds() <= 0:
        raise ContractError(path, "the policy has no deadline")
    if policy.rate_limit_class == policy_pb2.RATE_LIMIT_CLASS_UNSPECIFIED:
        raise ContractError(path, "the policy has no rate_limit_class")


def _refuse_contradictions(path: str, policy: policy_pb2.MethodPolicy, routed: bool) -> None:
    internal = policy.audience == policy_pb2.INTERNAL
    if bool(policy.scopes) and policy.audience != policy_pb2.CUSTOMER:
        raise ContractError(path, "scopes are for CUSTOMER only")
    if bool(policy.partners) != (policy.audience == policy_pb2.PARTNER):
        raise ContractError(path, "partners are required for PARTNER, and for PARTNER only")
    if internal and not policy.services:
        raise ContractError(path, "INTERNAL must name the services that may call")
    if internal and routed:
        raise ContractError(path, "INTERNAL is never routed at the edge; drop google.api.http")
    if not internal and not routed:
        raise ContractError(path, "callers from outside need a route; add google.api.http")
    if internal != (policy.rate_limit_class == policy_pb2.MESH):
        raise ContractError(path, "rate_limit_class MESH is for INTERNAL, and for INTERNAL only")


def _http_routes(rule: http_pb2.HttpRule) -> Iterator[HttpRoute]:
    verb = rule.WhichOneof("pattern")
    if verb is not None:
        yield HttpRoute(verb.upper(), getattr(rule, verb), rule.body, rule.response_body)
    for additional in rule.additional_bindings:
        yield from _http_routes(additional)


def is_personal(field: FieldDescriptor) -> bool:
    """Tell whether a field must not be logged: personal_data or debug_redact is set."""
    options = field.GetOptions()
    return bool(options.debug_redact) or bool(options.Extensions[_PERSONAL_DATA])


def _personal(message: Descriptor, seen: set[str]) -> Iterator[str]:
    if message.full_name in seen:
        return
    seen.add(message.full_name)
    for field in message.fields:
        if is_personal(field):
            yield field.full_name
        if field.message_type is not None:
            yield from _personal(field.message_type, seen)
