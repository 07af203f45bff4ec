"""The gateway's own answers."""

from pathlib import Path

import yaml

from gateway import replies
from services import contracts
from services.kernel import errors

CONFIGURATION = Path(__file__).parents[3] / "mesh" / "config" / "gateway.yaml"


def test_the_answer_to_a_large_body_has_the_limit_of_the_configuration() -> None:
    documents = yaml.safe_load_all(CONFIGURATION.read_text())
    specs = [document["spec"] for document in documents]
    (configured,) = [spec["limits"]["bodyBytes"] for spec in specs if "limits" in spec]
    (reply,) = [each for each in replies.REPLIES if each.http == 413]
    assert configured == replies.BODY_KIB_MAX * 1024
    public = next(spec["limits"]["publicBodyBytes"] for spec in specs if "limits" in spec)
    assert public == replies.PUBLIC_BODY_KIB_MAX * 1024
    assert f"at most {replies.BODY_KIB_MAX} KiB" in reply.message


def test_every_reply_of_the_gateway_has_a_reason_of_the_contract() -> None:
    names = contracts.pool_of(contracts.default_descriptor_set()).FindEnumTypeByName(
        "bp.policy.v1.ErrorReason"
    )
    for reply in (*replies.REPLIES, replies.SCOPE_MISSING, replies.FALLBACK):
        assert reply.reason in names.values_by_name
        assert reply.http >= 400


def test_a_late_answer_asks_for_a_key_only_if_the_request_had_one() -> None:
    """Login calls have no Idempotency-Key. The gateway and the services use the same words."""
    (reply,) = [each for each in replies.REPLIES if each.http == 504]
    assert reply.message == errors.DeadlineExceeded().message
    assert reply.message.endswith("Please retry, with the same Idempotency-Key if it had one.")
