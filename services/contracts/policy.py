"""Reads a method's bp.policy.v1 option and refuses a policy that is incomplete or contradictory.

A refused method stops every build that reads the contracts, so no partial policy is ever served.
"""

from typing import Any

from bp.policy.v1 import policy_pb2
from google.protobuf.descriptor import MethodDescriptor

from services.contracts.methods import ContractError

# The stub types a generated extension as a plain field descriptor, which the accessors of options
# do not accept.
_METHOD_POLICY: Any = policy_pb2.method


def policy_of(method: MethodDescriptor, path: str, *, routed: bool) -> policy_pb2.MethodPolicy:
    """Return the policy of a method; `routed` means that it has a google.api.http option.

    Raises ContractError if the policy is missing, incomplete or contradicts itself.
    """
    options = method.GetOptions()
    if not options.HasExtension(_METHOD_POLICY):
        raise ContractError(path, "has no (bp.policy.v1.method) option")
    policy: policy_pb2.MethodPolicy = options.Extensions[_METHOD_POLICY]
    _refuse_incomplete(path, policy)
    _refuse_contradictions(path, policy, routed)
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
