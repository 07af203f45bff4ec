"""The return reason codes of Nacha's rules: each says why an entry was returned.

The receiving bank and the operator return entries with R01 to R47, R50 to R53 and, for
international entries, R80 to R85. R61 to R77 dishonour or contest a return and concern only the
two banks. The other numbers have no meaning.
"""

import re

_FORM = re.compile(r"R(0[1-9]|[1-3][0-9]|4[0-7]|5[0-3]|8[0-5])")


def is_valid(code: str) -> bool:
    """Return whether a text is the reason code of a return, such as "R03"."""
    return _FORM.fullmatch(code) is not None
