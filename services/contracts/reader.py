"""Reads every method of a descriptor set into a MethodContract.

Only this module reads the options. It returns complete contracts or raises ContractError.
"""

from bp.policy.v1 import policy_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from services.contracts.descriptor_set import default_descriptor_set, pool_of
from services.contracts.http_routes import http_routes
from services.contracts.methods import Audience, MethodContract, StepUpRule
from services.contracts.policy import policy_of


def load(descriptor_set: bytes | None = None) -> dict[str, MethodContract]:
    """Return every method's contract under its full gRPC path, in the order of the set.

    Without an argument the committed descriptor set is read. Raises ContractError for the first
    method with an invalid policy.
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
    http = http_routes(method)
    policy = policy_of(method, path, routes=http)
    return MethodContract(
        path=path,
        audience=Audience(policy_pb2.Audience.Name(policy.audience)),
        scopes=tuple(policy.scopes),
        partners=tuple(policy.partners),
        services=tuple(policy.services),
        deadline_ms=policy.deadline.ToMilliseconds(),
        rate_limit_class=policy_pb2.RateLimitClass.Name(policy.rate_limit_class),
        idempotency_key_required=policy.idempotency_key_required,
        step_up=_step_up(policy),
        body_bytes_max=policy.body_bytes_max,
        http=http,
        request=method.input_type,
        response=method.output_type,
    )


def _step_up(policy: policy_pb2.MethodPolicy) -> StepUpRule | None:
    if not policy.HasField("step_up"):
        return None
    rule = policy.step_up
    return StepUpRule(
        max_age_ms=rule.max_age.ToMilliseconds(),
        new_beneficiary=rule.new_beneficiary,
        above_minor_units=rule.above_minor_units,
        always=rule.always,
    )
