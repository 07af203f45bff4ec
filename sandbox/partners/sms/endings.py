"""The endings of telephone numbers to which the SMS gateway does not deliver, for tests."""

REFUSED = {
    "0009": (422, "BLOCKED_NUMBER", "the owner of this number refuses messages"),
    "0029": (429, "RATE_LIMITED", "too many messages to this number"),
    "0402": (402, "OUT_OF_CREDIT", "the account has no credit; add some"),
    "0503": (503, "SERVICE_UNAVAILABLE", "the carrier of this number is unavailable"),
}
"""The last digits of a number -> status, code and text of the refusal of a message to it."""
UNDELIVERED_ENDING, SWITCHED_OFF_ENDING = "0404", "0408"
"""The last digits of a number that no telephone has, and of a telephone that is switched off."""
ENDINGS = frozenset({*REFUSED, UNDELIVERED_ENDING, SWITCHED_OFF_ENDING})
