"""A method's policy is rejected when it is incomplete or contradictory."""

from collections.abc import Callable
from typing import Any

import pytest
from bp.policy.v1 import policy_pb2
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto

from services import contracts
from services.contracts import Audience, ContractError

CREATE = "/bp.payments.v1.PaymentsService/CreateInterbankTransfer"
CHECK = "/bp.customers.v1.CustomersService/CheckDebit"
WEBHOOK = "/bp.payments.v1.PaymentsService/ReceiveAchWebhook"
_POLICY: Any = policy_pb2.method
_HTTP: Any = annotations_pb2.http


def _changed(path: str, change: Callable[[MethodDescriptorProto], None]) -> bytes:
    files = FileDescriptorSet.FromString(contracts.default_descriptor_set())
    for file in files.file:
        for service in file.service:
            for method in service.method:
                if path == f"/{file.package}.{service.name}/{method.name}":
                    change(method)
    return files.SerializeToString()


def test_a_contract_holds_all_that_the_proto_says() -> None:
    contract = contracts.load()[CREATE]
    assert contract.audience is Audience.CUSTOMER
    assert contract.scopes == ("transfers:write",)
    assert contract.deadline_ms == 10_000
    assert contract.idempotency_key_required
    assert contract.http[0].path == "/v1/transfers/interbank"
    assert contract.deployable == "payments"


def test_every_method_of_the_bank_has_a_complete_policy() -> None:
    assert len(contracts.load()) >= 14


INCOMPLETE = [
    ("no option", CREATE, lambda m: m.options.ClearExtension(_POLICY), "no (bp.policy.v1.method)"),
    ("no audience", CREATE, lambda m: m.options.Extensions[_POLICY].ClearField("audience"), "aud"),
    ("no deadline", CREATE, lambda m: m.options.Extensions[_POLICY].ClearField("deadline"), "dead"),
    (
        "no class",
        CREATE,
        lambda m: m.options.Extensions[_POLICY].ClearField("rate_limit_class"),
        "rate_limit_class",
    ),
    (
        "scopes without a token",
        WEBHOOK,
        lambda m: m.options.Extensions[_POLICY].scopes.append("x"),
        "scopes are for CUSTOMER",
    ),
    (
        "a partner method without partners",
        WEBHOOK,
        lambda m: m.options.Extensions[_POLICY].ClearField("partners"),
        "partners are required",
    ),
    (
        "an internal method for nobody",
        CHECK,
        lambda m: m.options.Extensions[_POLICY].ClearField("services"),
        "INTERNAL must name",
    ),
    (
        "an internal method at the gateway",
        CHECK,
        lambda m: setattr(m.options.Extensions[_HTTP], "get", "/v1/check"),
        "never routed at the gateway",
    ),
    (
        "an outside method without a route",
        CREATE,
        lambda m: m.options.ClearExtension(_HTTP),
        "need a route",
    ),
    (
        "an outside method in the mesh's bucket",
        CREATE,
        lambda m: setattr(m.options.Extensions[_POLICY], "rate_limit_class", policy_pb2.MESH),
        "MESH is for INTERNAL",
    ),
]


@pytest.mark.parametrize(
    ("case", "path", "change", "problem"), INCOMPLETE, ids=[case[0] for case in INCOMPLETE]
)
def test_a_method_without_a_valid_policy_is_refused(
    case: str, path: str, change: Callable[[MethodDescriptorProto], None], problem: str
) -> None:
    with pytest.raises(ContractError, match=r".+") as raised:
        contracts.load(_changed(path, change))
    assert raised.value.method == path, case
    assert problem in raised.value.problem
