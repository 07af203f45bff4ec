"""The kinds of faults. Imports nothing slow, because bpctl lists them in its help."""

from enum import StrEnum


class Kind(StrEnum):
    """What a fault does to the request it hits."""

    LATENCY = "latency"
    HANG = "hang"
    RESET = "reset"
    HTTP_5XX = "http_5xx"
    ACCEPT_THEN_HANG = "accept_then_hang"
    SLOW_BODY = "slow_body"
    WRONG_ANSWER = "wrong_answer"
    REJECT = "reject"
