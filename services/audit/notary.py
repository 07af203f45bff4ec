"""Signs statements with OpenBao's transit engine, and keeps the mark of the last one there.

The key is not exportable. This service may sign and verify; operators may verify only.
"""

import base64
from collections.abc import Mapping
from typing import Any

from services.audit.heads import Mark, Signed, Statement, encode
from services.chassis.vault import Vault

KEY = "audit-heads"
"""Name of the transit key."""
MARK_PATH = "audit/heads"
"""KV path of the mark."""
VERIFIED_TOGETHER_MAX = 500


class Notary:
    """The service's access to the key and to the mark."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def sign(self, statement: Statement) -> Signed:
        """Return the statement with its signature."""
        body = encode(statement)
        answer = await self._vault.write(f"transit/sign/{KEY}", {"input": _base64(body)})
        return Signed(statement, body, str(answer["data"]["signature"]))

    async def mark(self) -> Mark:
        """Return the mark of the last statement."""
        return mark_of(await self._vault.secret(MARK_PATH))

    async def keep_mark(self, mark: Mark) -> None:
        """Replace the mark."""
        facts = {"number": str(mark.number), "digest": mark.digest.hex()}
        await self._vault.write(f"secret/data/{MARK_PATH}", {"data": facts})


def first_mark() -> dict[str, str]:
    """Return the fields of the mark before the first statement."""
    return {"number": "0", "digest": Mark().digest.hex()}


def mark_of(fields: Mapping[str, str]) -> Mark:
    """Return the mark in the fields of its KV secret."""
    return Mark(int(fields["number"]), bytes.fromhex(fields["digest"]))


def verification_of(batch: list[Signed]) -> dict[str, Any]:
    """Return the body of a request to `transit/verify/<KEY>`."""
    return {
        "batch_input": [
            {"input": _base64(signed.body), "signature": signed.signature} for signed in batch
        ]
    }


def verdicts(answer: Mapping[str, Any]) -> list[bool]:
    """Return for each statement of a batch whether its signature is valid."""
    return [bool(one.get("valid")) for one in answer["data"]["batch_results"]]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
