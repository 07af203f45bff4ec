"""The whole running bank for tests: calls of its customers, and calls that bypass the bank."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from confluent_kafka import Producer

from ops.waiting import scaled_s
from sandbox.client import BO, Answer, BankClient, Customer, read_answer

__all__ = ["BO", "Answer", "Bank", "Customer"]


class Bank(BankClient):
    """The client of a customer, with direct access to stores, partners and topics."""

    async def rows(self, database: str, sql: str, *values: Any) -> list[asyncpg.Record]:
        """Return rows of one of the bank's databases."""
        connection = await self.connect(database)
        try:
            return await connection.fetch(sql, *values)
        finally:
            await connection.close()

    async def submit_to_ach(self, key: str, minor_units: int, **fields: str) -> Answer:
        """Submit a transfer to the clearing house without the bank, as a late packet would."""
        body = {
            "amount": {"currency": "USD", "minorUnits": minor_units},
            "routing": BO["routingNumber"],
            "account": BO["accountNumber"],
            "accountType": BO["accountType"],
            "name": BO["name"],
            **fields,
        }
        return await self._ask_ach("/ach/transfer", body, {"Idempotency-Key": key})

    async def recall_at_ach(self, key: str) -> Answer:
        """Recall a transfer directly at the clearing house, like a delayed request of the bank."""
        return await self._ask_ach("/ach/transfer/cancel", {"idempotencyKey": key}, {})

    async def _ask_ach(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        headers = {"X-Api-Key": self.stack.credentials.ach_api_key, **headers}
        url = self.where["BP_PARTNER_ACH_URL"] + path
        async with self.session.post(
            url, json=body, headers=headers, ssl=self._partner_tls("bp-client")
        ) as response:
            return await read_answer(response)

    async def as_ach(
        self, method: str, path: str, body: bytes, signature: str, *, certificate: bool
    ) -> Answer:
        """Call the gateway as the clearing house does: with its certificate, or without."""
        shown = "ach-webhook" if certificate else ""
        return await self._as_partner(method, path, body, {"Ach-Signature": signature}, shown)

    async def as_sms(self, body: bytes, signature: str, certificate: str = "sms-webhook") -> Answer:
        """Send a delivery receipt as the SMS gateway does; certificate "": without one."""
        headers = {"Sms-Signature": signature}
        return await self._as_partner("POST", "/v1/webhooks/sms", body, headers, certificate)

    async def _as_partner(
        self, method: str, path: str, body: bytes, signed: dict[str, str], certificate: str
    ) -> Answer:
        tls = ssl.create_default_context(cafile=self.where["BP_CA_FILE"])
        if certificate:
            self._show(tls, certificate)
        headers = {**signed, "Content-Type": "application/json"}
        url = self.where["BP_GATEWAY_URL"] + path
        # A new session: the pool reuses connections by host, whatever certificate they showed.
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, data=body, headers=headers, ssl=tls) as response,
        ):
            return await read_answer(response)

    async def close_breakers(self) -> None:
        """Close every circuit breaker of payments by a restart of its sidecar.

        tests/contract/mesh proves that time closes a breaker, tests/golden that it takes a minute.
        """
        await asyncio.to_thread(self.stack.restart, "payments-sidecar")

    async def two_banking_days_untold(self) -> None:
        """Advance the clock by two banking days; the clearing house holds its notices back."""
        await self.control("ach", "POST", "/control/webhooks/hold")
        body = {"banking_days": 2, "drain_timeout_ms": 1}
        await self.control("ach", "POST", "/control/clock/advance", body)

    async def release_notices(self) -> None:
        """Let the clearing house send the notices that it held back."""
        drain_ms = round(1000 * scaled_s(10))
        await self.control("ach", "POST", "/control/webhooks/release")
        await self.control("ach", "POST", "/control/webhooks/drain", {"timeout_ms": drain_ms})

    def _partner_tls(self, certificate: str) -> ssl.SSLContext:
        tls = ssl.create_default_context(cafile=self.where["BP_PARTNER_ACH_CA_FILE"])
        self._show(tls, certificate)
        return tls

    def _show(self, tls: ssl.SSLContext, certificate: str) -> None:
        folder = Path(self.where["BP_PARTNER_ACH_CA_FILE"]).parent
        tls.load_cert_chain(folder / f"{certificate}.pem", folder / f"{certificate}.key")

    async def produce(self, topic: str, key: bytes, value: bytes) -> None:
        """Write to a topic directly, bypassing the bank."""
        producer = Producer({"bootstrap.servers": self.where["BP_KAFKA_BOOTSTRAP"]})
        producer.produce(topic, key=key, value=value)
        unsent = await asyncio.to_thread(producer.flush, scaled_s(20))
        assert unsent == 0
