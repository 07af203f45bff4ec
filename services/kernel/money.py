"""Money: a whole number of minor units and a currency. Money is never a float."""

from dataclasses import dataclass

CURRENCY = "USD"
"""The only currency of the bank's accounts."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount, such as Money(100_000, "USD") for 1,000.00 dollars."""

    minor_units: int
    currency: str

    def __str__(self) -> str:
        sign = "-" if self.minor_units < 0 else ""
        whole, cents = divmod(abs(self.minor_units), 100)
        return f"{self.currency} {sign}{whole:,}.{cents:02d}"
