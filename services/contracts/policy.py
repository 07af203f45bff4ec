"""Reads a method's bp.policy.v1 option and refuses a policy that is incomplete or contradictory.

A refused method stops every build that reads the contracts, so no partial policy is ever served.
"""

from typing import Any

from bp.policy.v1 import policy_pb2
from google.protobuf.descriptor import MethodDescriptor

from services.contracts.methods import ContractError, HttpRoute

# The stub types a generated extension as a plain field descriptor, which the accessors of options
# do not accept.
_METHOD_POLICY: Any = policy_pb2.method

BODY_BYTES_MAX = 4_000_000
"""Services accept messages of 4 MiB, gRPC's default; a message has more fields than the body."""
_PUBLIC_CLASSES = frozenset({policy_pb2.LOGIN, policy_pb2.OTP})


def policy_of(
    method: MethodDescriptor, path: str, *, routes: tuple[HttpRoute, ...]
) -> policy_pb2.MethodPolicy:
    """Return the policy of a method; `routes` are those of its google.api.http option.

    Raises ContractError if the policy is missing, incomplete or contradicts itself.
    """
    options = method.GetOptions()
    if not options.HasExtension(_METHOD_POLICY):
        raise ContractError(path, "has no (bp.policy.v1.method) option")
    policy: policy_pb2.MethodPolicy = options.Extensions[_METHOD_POLICY]
    _refuse_incomplete(path, policy)
    _refuse_contradictions(path, policy, bool(routes))
    _refuse_step_up(path, policy)
    _refuse_body_limit(path, policy, routes)
    return policy


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
        raise ContractError(path, "INTERNAL is never routed at the gateway; drop google.api.http")
    if not internal and not routed:
        raise ContractError(path, "callers from outside need a route; add google.api.http")
    if internal != (policy.rate_limit_class == policy_pb2.MESH):
        raise ContractError(path, "rate_limit_class MESH is for INTERNAL, and for INTERNAL only")
    public = policy.audience == policy_pb2.PUBLIC
    if public != (policy.rate_limit_class in _PUBLIC_CLASSES):
        raise ContractError(
            path, "rate_limit_class LOGIN or OTP is required for PUBLIC, and for PUBLIC only"
        )


def _refuse_step_up(path: str, policy: policy_pb2.MethodPolicy) -> None:
    if not policy.HasField("step_up"):
        return
    rule = policy.step_up
    if policy.audience != policy_pb2.CUSTOMER:
        raise ContractError(path, "step_up is for CUSTOMER only")
    if rule.max_age.ToMilliseconds() <= 0:
        raise ContractError(path, "step_up has no max_age")
    if rule.above_minor_units < 0:
        raise ContractError(path, "above_minor_units of step_up must not be negative")
    if not (rule.always or rule.new_beneficiary or rule.above_minor_units):
        raise ContractError(path, "step_up has no condition; set one, or remove step_up")


def _refuse_body_limit(
    path: str, policy: policy_pb2.MethodPolicy, routes: tuple[HttpRoute, ...]
) -> None:
    if not 0 <= policy.body_bytes_max <= BODY_BYTES_MAX:
        raise ContractError(path, f"body_bytes_max must be from 0 to {BODY_BYTES_MAX}")
    if policy.body_bytes_max and not (routes and all(route.body for route in routes)):
        raise ContractError(path, "body_bytes_max is for methods whose routes all have a body")
