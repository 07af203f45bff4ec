"""Magic accounts, names and amounts, as in public payment sandboxes.

Account endings and names decide how a transfer ends; amounts and names can also break the call
itself. README.md lists the same tables.
"""

import re
from dataclasses import dataclass

from sandbox.partners.fault_kinds import Kind
from sandbox.partners.faults import FaultSpec, Params, Standing

# A transfer to an account number ending 99NN is returned with RNN instead of being settled.
RETURN_CODES = frozenset(
    f"R{number:02d}"
    for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 20, 23, 24, 29, 31)
)
# A transfer to an account number ending 88NN settles and is returned with RNN five banking days
# later.
_NAME = re.compile(r"\b(LATE )?RETURN (R[0-9]{2})\b")
SUBMIT = "POST /ach/transfer"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a transfer will end: settled (no code), returned, or settled and returned late."""

    return_code: str | None = None
    is_late: bool = False


def ending(account: str, name: str) -> Ending:
    """Return the planned end of a transfer, from its beneficiary's account and name."""
    found = _NAME.search(name)
    if found and found[2] in RETURN_CODES:
        return Ending(found[2], is_late=found[1] is not None)
    code = f"R{account[-2:]}"
    prefix = account[-4:-2]
    if prefix in ("99", "88") and code in RETURN_CODES:
        return Ending(code, is_late=prefix == "88")
    return Ending()


def standing() -> Standing:
    """Return the permanent triggers: amounts and names that break the submitting call."""
    down = FaultSpec(kind=Kind.HTTP_5XX, params=Params(status=503))
    broken = FaultSpec(kind=Kind.HTTP_5XX, params=Params(status=500, reason="INTERNAL"))
    limited = Params(status=429, reason="RATE_LIMITED", message="too many calls", retry_after_s=1)
    refused = Params(reason="TRANSFER_REFUSED", message="the receiving bank refuses")
    silent = FaultSpec(kind=Kind.HANG)
    accepted = FaultSpec(kind=Kind.ACCEPT_THEN_HANG)
    slow = FaultSpec(kind=Kind.LATENCY, params=Params(ms=2000))
    reject = FaultSpec(kind=Kind.REJECT, params=refused)
    amounts = {
        400_408: silent,
        400_422: reject,
        400_429: FaultSpec(kind=Kind.REJECT, params=limited),
        400_500: broken,
        400_503: down,
        400_504: accepted,
    }
    names = {
        "ACH REJECT": reject,
        "ACH DOWN": down,
        "ACH HANG": silent,
        "ACH ACCEPT HANG": accepted,
        "ACH SLOW": slow,
        "ACH RESET": FaultSpec(kind=Kind.RESET),
    }
    return Standing(SUBMIT, amounts, names)
