"""Bugs of the clearing house's notices."""

import orjson
import pytest

from services.payments.errors import WebhookMalformed
from services.payments.webhook import read_notice


@pytest.mark.parametrize("code", [None, "", "R3", "r03", "R" * 200, "\u202eR03", "<script>"])
def test_a_return_whose_code_is_none_of_nachas_is_refused(code: str | None) -> None:
    """The transfer became RETURNED with that very text as its `returnCode` for all to see."""
    data = {"achTraceNumber": "991000010000001", "returnReasonCode": code}
    notice = {"id": "8f0f7d9e", "type": "transfer.returned", "data": data}
    with pytest.raises(WebhookMalformed):
        read_notice(orjson.dumps(notice))
