"""The clearing house's notices: valid and forged signatures, readable and malformed bodies."""

import hashlib
import hmac

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.webhook_signatures import TOLERANCE_S
from services.payments.errors import WebhookMalformed, WebhookSignatureInvalid
from services.payments.webhook import read_notice, require_signature

SECRET = b"secret of the sandbox"
NOW_S = 1_800_000_000
BODY = orjson.dumps(
    {
        "id": "8f0f7d9e",
        "type": "transfer.returned",
        "createTime": "2026-03-02T15:00:00Z",
        "data": {"achTraceNumber": "991000010000001", "returnReasonCode": "R03"},
    }
)


def signed(body: bytes, at_s: int = NOW_S, secret: bytes = SECRET) -> str:
    """The header that the clearing house sends."""
    mac = hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={mac}"


def test_a_signed_notice_is_read() -> None:
    require_signature(signed(BODY), BODY, [SECRET], NOW_S)
    notice = read_notice(BODY)
    assert (notice.type, notice.return_code) == ("transfer.returned", "R03")


NEXT = b"the secret after the rotation"
GOOD, OTHER = signed(BODY), signed(BODY, secret=b"guess")
_TIME, _GOOD_MAC = GOOD.split(",")
_OTHER_MAC = OTHER.split(",")[1]

WELL_FORMED = {
    "the good signature first": f"{GOOD},{_OTHER_MAC}",
    "the good signature last": f"{OTHER},{_GOOD_MAC}",
    "a blank after the comma": GOOD.replace(",", ", "),
    "blanks and tabulators around": f" {_TIME} ,\t{_GOOD_MAC} ",
    "the signature before the time": f"{_GOOD_MAC},{_TIME}",
    "hexadecimal digits in capitals": f"{_TIME},v1={_GOOD_MAC[3:].upper()}",
    "two header lines": f"{OTHER}, {GOOD}",
    "a scheme of a later version": f"{_TIME},v2=abc,{_GOOD_MAC}",
    "a parameter without a value": f"{GOOD},",
}


@pytest.mark.parametrize("header", WELL_FORMED.values(), ids=WELL_FORMED.keys())
def test_any_good_signature_of_a_well_formed_header_is_enough(header: str) -> None:
    require_signature(header, BODY, [SECRET], NOW_S)


@pytest.mark.parametrize("secret", [SECRET, NEXT])
def test_during_a_rotation_the_signatures_of_both_secrets_are_good(secret: bytes) -> None:
    require_signature(signed(BODY, secret=secret), BODY, [NEXT, SECRET], NOW_S)


FORGED = {
    "missing": "",
    "of another body": signed(b"{}"),
    "of another secret": signed(BODY, secret=b"guess"),
    "too old": signed(BODY, NOW_S - TOLERANCE_S - 1),
    "from the future": signed(BODY, NOW_S + TOLERANCE_S + 1),
    "moved in time": signed(BODY).replace(str(NOW_S), str(NOW_S + 1)),
    "without a time": signed(BODY).split(",")[1],
    "not ASCII": signed(BODY)[:-1] + "é",
    "too many times": ",".join([*(f"t={NOW_S + n}" for n in range(1, 9)), GOOD]),
    "too many signatures": ",".join([_TIME, *([_OTHER_MAC] * 16), _GOOD_MAC]),
    "a time that another line signed": f"t={NOW_S + 1},{_GOOD_MAC}",
    "another scheme": GOOD.replace("v1=", "v0="),
    "no secret at all": signed(BODY, secret=b""),
}


@pytest.mark.parametrize("header", FORGED.values(), ids=FORGED.keys())
def test_a_forged_or_stale_signature_is_refused(header: str) -> None:
    with pytest.raises(WebhookSignatureInvalid):
        require_signature(header, BODY, [SECRET], NOW_S)


def test_an_empty_secret_signs_nothing() -> None:
    with pytest.raises(WebhookSignatureInvalid):
        require_signature(signed(BODY, secret=b""), BODY, [b""], NOW_S)


@given(st.text())
def test_no_header_breaks_the_reader(header: str) -> None:
    with pytest.raises(WebhookSignatureInvalid):
        require_signature(header, BODY, [SECRET], NOW_S)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers(-10, 10) | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["id", "type", "data", "achTraceNumber"]) | st.text(), inner
            )
        ),
    ).map(lambda value: orjson.dumps(value))
)
def test_a_body_is_read_or_refused_and_never_breaks_the_reader(body: bytes) -> None:
    try:
        notice = read_notice(body)
    except WebhookMalformed:
        return
    assert notice.notice_id
    assert notice.trace_number or notice.transfer_id or notice.content is not None


@pytest.mark.parametrize("field", ["id", "achTraceNumber", "returnReasonCode"])
def test_a_notice_with_text_that_no_store_can_hold_is_malformed_and_no_defect(field: str) -> None:
    notice = orjson.loads(BODY)
    (notice if field == "id" else notice["data"])[field] = "9\0"
    with pytest.raises(WebhookMalformed):
        read_notice(orjson.dumps(notice))


@pytest.mark.parametrize(
    "code", [None, "", "R3", "r03", "R61", "R99", "R" * 200, "\u202eR03", "<script>"]
)
def test_a_return_with_a_code_unknown_to_nacha_is_refused(code: str | None) -> None:
    """Customers see this text as their transfer's `returnCode`."""
    data = {"achTraceNumber": "991000010000001", "returnReasonCode": code}
    notice = {"id": "8f0f7d9e", "type": "transfer.returned", "data": data}
    with pytest.raises(WebhookMalformed):
        read_notice(orjson.dumps(notice))


CONTRADICTIONS = {
    "a completion of a returned transfer": ("transfer.completed", "RETURNED", "R03"),
    "a completion with a return code": ("transfer.completed", "SETTLED", "R03"),
    "a completion of a cancelled transfer": ("transfer.completed", "CANCELLED", ""),
    "a return of a settled transfer": ("transfer.returned", "SETTLED", "R03"),
    "a state that is no text": ("transfer.completed", 7, ""),
}


@pytest.mark.parametrize(
    ("kind", "state", "code"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys()
)
def test_a_notice_that_contradicts_itself_is_refused(kind: str, state: object, code: str) -> None:
    data = {"achTraceNumber": "991000010000001", "state": state, "returnReasonCode": code}
    with pytest.raises(WebhookMalformed):
        read_notice(orjson.dumps({"id": "8f0f7d9e", "type": kind, "data": data}))


@pytest.mark.parametrize(
    ("kind", "state", "code"),
    [
        ("transfer.completed", "SETTLED", ""),
        ("transfer.completed", None, None),
        ("transfer.returned", "RETURNED", "R03"),
    ],
)
def test_a_notice_whose_fields_agree_is_read(
    kind: str, state: str | None, code: str | None
) -> None:
    data = {"achTraceNumber": "991000010000001", "state": state, "returnReasonCode": code}
    assert read_notice(orjson.dumps({"id": "8f0f7d9e", "type": kind, "data": data})).type == kind


@pytest.mark.parametrize("kind", ["transfer.returned", "transfer.noc"])
def test_a_notice_under_an_id_that_the_bank_itself_gives_is_malformed(kind: str) -> None:
    """The bank stores the answer to its own query under such an id."""
    notice = orjson.loads(BODY) | {"type": kind}
    notice["id"] = "query/0195f4a0-0000-7000-8000-000000000000/transfer.returned"
    with pytest.raises(WebhookMalformed):
        read_notice(orjson.dumps(notice))


@pytest.mark.parametrize("data", [{}, None, [], {"achTraceNumber": 7, "idempotencyKey": "a\0"}])
def test_a_notice_of_an_unknown_type_is_read_with_its_whole_content(data: object) -> None:
    """A notice of a new type is kept for an operator, whatever data it has."""
    body = orjson.dumps({"id": "8f0f7d9e", "type": "transfer.noc", "data": data})
    notice = read_notice(body)
    assert (notice.type, notice.content) == ("transfer.noc", body)
    assert (notice.trace_number, notice.transfer_id) == ("", None)
