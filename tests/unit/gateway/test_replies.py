"""The gateway's own answers."""

from gateway import replies
from services import contracts


def test_every_reply_of_the_gateway_has_a_reason_of_the_contract() -> None:
    names = contracts.pool_of(contracts.default_descriptor_set()).FindEnumTypeByName(
        "bp.policy.v1.ErrorReason"
    )
    for reply in (*replies.REPLIES, replies.SCOPE_MISSING, replies.FALLBACK):
        assert reply.reason in names.values_by_name
        assert reply.http >= 400
