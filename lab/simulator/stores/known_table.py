"""The beneficiaries that a customer has paid, in memory: a service's table known_beneficiary."""

import uuid
from collections.abc import Iterable, Sequence

from lab.simulator.stores.database import Database, Row

Beneficiary = tuple[uuid.UUID, *tuple[object, ...]]
"""The customer, and the account that the customer paid."""


class KnownBeneficiaries:
    """Only the first transfer to a beneficiary, because simulated statements never overlap."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.first: dict[Beneficiary, uuid.UUID] = {}

    def note(self, beneficiary: Beneficiary, transfer_id: uuid.UUID) -> None:
        """Note a payment."""
        if beneficiary not in self.first:
            self._database.put(self.first, beneficiary, transfer_id)

    def numbers(self, beneficiaries: Iterable[Beneficiary]) -> Sequence[Row]:
        """Return the numbers of the known ones, from 1."""
        return [{"number": at} for at, one in enumerate(beneficiaries, 1) if one in self.first]
