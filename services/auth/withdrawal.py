"""The tokens of ended sessions become useless. This is the only order in which that happens."""

import uuid
from collections.abc import Sequence

from services.auth.families import Families
from services.auth.revocations_out import Revocations


async def withdraw(
    families: Families, revocations: Revocations, session_ids: Sequence[uuid.UUID]
) -> None:
    """Make the tokens of sessions useless: at auth at once, at the services within seconds.

    The rows say already that the sessions ended. If Valkey fails, its error propagates, and the
    reconciliation of upkeep.py completes the rest. It skips the sessions in the set of revoked
    ones, so the families end first.
    """
    await families.end(session_ids)
    await revocations.revoke(session_ids)
