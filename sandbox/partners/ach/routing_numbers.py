"""Routing numbers: the check digit rule and the table of banks that this clearing house knows.

All banks are made up. Most numbers are also made up: a Federal Reserve district, an id that no real
bank has, and the computed check digit. The other numbers are common in test suites.
"""

from functools import lru_cache

WEIGHTS = (3, 7, 1, 3, 7, 1, 3, 7)
# Eight-digit id of a destination bank → its name. The check digit is computed.
_BANKS = {
    "01100991": "Harbor Test Bank, Boston",
    "01180992": "Kennebec Test Savings",
    "01130993": "Merrimack Test Bank",
    "02100991": "Hudson Test Bank, New York",
    "02120992": "Passaic Test Bank",
    "02190993": "Long Island Test Credit Union",
    "03100991": "Schuylkill Test Bank, Philadelphia",
    "03110992": "Brandywine Test Bank",
    "03190993": "Lehigh Test Savings",
    "04100991": "Cuyahoga Test Bank, Cleveland",
    "04200992": "Ohio River Test Bank",
    "04300993": "Monongahela Test Bank",
    "05100991": "James River Test Bank, Richmond",
    "05200992": "Chesapeake Test Bank",
    "05310993": "Catawba Test Credit Union",
    "06100991": "Peachtree Test Bank, Atlanta",
    "06300992": "Saint Johns Test Bank",
    "06600993": "Biscayne Test Bank, Miami",
    "07100991": "Lakeshore Test Bank, Chicago",
    "07200992": "Huron Test Bank",
    "07500993": "Menomonee Test Savings",
    "08100991": "Gateway Test Bank, Saint Louis",
    "08400992": "Bluff City Test Bank",
    "09100991": "Mill City Test Bank, Minneapolis",
    "09110992": "Mesabi Test Credit Union",
    "10100991": "Prairie Test Bank, Kansas City",
    "10200992": "Front Range Test Bank",
    "11100991": "Trinity Test Bank, Dallas",
    "11300992": "Bayou Test Bank, Houston",
    "11400993": "Alamo Test Bank",
    "12100991": "Golden Gate Test Bank, San Francisco",
    "12200992": "Arroyo Test Bank, Los Angeles",
    "12300993": "Willamette Test Bank",
    "12500994": "Puget Test Credit Union",
    "32110995": "Sierra Test Savings",
    "32500996": "Rainier Test Savings",
}
_COMMON_IN_TESTS = (
    "011000015",
    "011000028",
    "011401533",
    "021000021",
    "021000089",
    "026009593",
    "031201360",
    "061000052",
    "071000013",
    "082000073",
    "091000019",
    "110000000",
    "111000025",
    "121000248",
    "121042882",
    "122105155",
    "123456780",
    "322271627",
)


def check_digit(first_eight: str) -> int:
    """Return (10 - weighted sum mod 10) mod 10, with weights 3 7 1 3 7 1 3 7."""
    total = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, first_eight, strict=True))
    return (10 - total % 10) % 10


def is_valid(routing: str) -> bool:
    """Return whether the text is nine ASCII digits and the ninth is the right check digit."""
    if len(routing) != 9 or not (routing.isascii() and routing.isdigit()):
        return False
    return check_digit(routing[:8]) == int(routing[8])


@lru_cache(maxsize=1)
def known_banks() -> dict[str, str]:
    """Return bank names by nine-digit routing number."""
    made_up = {f"{stem}{check_digit(stem)}": name for stem, name in _BANKS.items()}
    common = {number: f"Test Bank {number}" for number in _COMMON_IN_TESTS if is_valid(number)}
    return {**made_up, **common}
