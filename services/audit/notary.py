"""Signs statements with OpenBao's transit engine, and keeps the mark of the last one there.

The key is not exportable. This service may sign and verify; operators may verify only.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import hvac.exceptions

from services.audit.heads import Mark, Signed, Statement, encode
from services.chassis.vault import Vault

KEY = "audit-heads"
"""Name of the transit key."""
MARK_PATH = "audit/heads"
"""KV path of the mark."""
VERIFIED_TOGETHER_MAX = 200
"""Statements in one request; OpenBao refuses a request with more than about 500 JSON strings, and
each statement has two."""


@dataclass(frozen=True, slots=True)
class KeptMark:
    """The mark as OpenBao keeps it."""

    mark: Mark
    version: int
    """Version of the KV secret, for a check-and-set write."""


class Notary:
    """The service's access to the key and to the mark."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def sign(self, statement: Statement) -> Signed:
        """Return the statement with its signature."""
        body = encode(statement)
        answer = await self._vault.write(f"transit/sign/{KEY}", {"input": _base64(body)})
        return Signed(statement, body, str(answer["data"]["signature"]))

    async def mark(self) -> KeptMark:
        """Return the mark of the last statement."""
        secret = await self._vault.versioned_secret(MARK_PATH)
        return KeptMark(mark_of(secret.fields), secret.version)

    async def keep_mark(self, mark: Mark, *, version: int) -> bool:
        """Replace the mark of this version; False if another process has replaced it."""
        facts = {"number": str(mark.number), "digest": mark.digest.hex()}
        body = {"options": {"cas": version}, "data": facts}
        try:
            await self._vault.write(f"secret/data/{MARK_PATH}", body)
        except hvac.exceptions.InvalidRequest as error:
            if "check-and-set" not in str(error):
                raise
            return False
        return True


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
