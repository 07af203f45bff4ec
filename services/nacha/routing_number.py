"""ABA routing numbers: eight digits and a check digit."""

_WEIGHTS = (3, 7, 1, 3, 7, 1, 3, 7)


def check_digit(first_eight: str) -> int:
    """Return the check digit of eight digits (weights 3 7 1, Nacha entry field 4)."""
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, first_eight, strict=True))
    return (10 - total % 10) % 10


def is_valid(routing_number: str) -> bool:
    """Return whether a text is nine ASCII digits with the right check digit."""
    if len(routing_number) != 9 or not (routing_number.isascii() and routing_number.isdigit()):
        return False
    return check_digit(routing_number[:8]) == int(routing_number[8])
