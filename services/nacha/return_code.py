"""Return reason codes of Nacha's rules: R01 to R85, with gaps that new rules fill."""

import re

_FORM = re.compile(r"R[0-9]{2}")


def is_valid(code: str) -> bool:
    """Return whether a text has the form of a return reason code, such as "R03"."""
    return _FORM.fullmatch(code) is not None
