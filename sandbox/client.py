"""The bank's client for the demo and the end-to-end tests: REST at the gateway, partner controls.

Each test opens its own customers, so that many tests can share one running bank without
interfering.
"""

import itertools
import os
import ssl
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import asyncpg

from ops.judge.judge import judge
from ops.judge.stores import Stores
from ops.provision import valkey
from ops.waiting import scaled_s, until
from sandbox.seed import cluster, logins, people, planting
from sandbox.seed.people import Deposit, Person
from sandbox.stack.testing import RunningStack
from services.chassis.revocations import TOKEN_LIFE_S

DRAIN_S = 60.0
"""How long the judge waits for work in flight."""
SCOPES = "transfers:write transfers:read accounts:read auth:read auth:write"
BO = {
    "name": "Bo Rivera",
    "routingNumber": "021000021",
    "accountNumber": "123456",
    "accountType": "CHECKING",
}
NO_REASON = "(no reason)"
"""The reason of an answer that has no ErrorInfo."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """One answer of the gateway or of a control API."""

    status: int
    text: str
    body: Any
    headers: Mapping[str, str]
    """By name, case-insensitive."""

    @property
    def reason(self) -> str:
        """The ErrorInfo reason of an error."""
        return next((d["reason"] for d in self.body.get("details", []) if "reason" in d), NO_REASON)


@dataclass(frozen=True)
class Customer:
    """One customer with a checking account and a token, valid for TOKEN_LIFE_S."""

    user_name: str
    customer_id: uuid.UUID
    account_id: uuid.UUID
    token: str = field(repr=False)


@dataclass(frozen=True)
class LoginIdentity:
    """What a customer types to log in."""

    email: str
    password: str = field(repr=False)
    phone: str
    """E.164; text messages with codes go there."""


class BankClient:
    """A running stack with clients for its gateway, databases, partners and judge."""

    def __init__(self, stack: RunningStack, address: str | None = None) -> None:
        """`address` is the caller's own IP address, such as 127.0.0.9; None: the system's."""
        self.stack = stack
        self.where = stack.addresses
        self._tls = ssl.create_default_context(cafile=self.where["BP_CA_FILE"])
        self.session = _session(address)
        self._controls: dict[str, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Close the connections."""
        for session in (self.session, *self._controls.values()):
            await session.close()

    async def call_from(self, address: str) -> None:
        """Call the gateway from another loopback address of this machine from now on.

        The gateway and auth limit calls by the address of the connection.
        """
        await self.session.close()
        self.session = _session(address)

    async def connect(self, database: str) -> asyncpg.Connection:
        """Connect to one of the bank's databases as its superuser."""
        return await asyncpg.connect(self.stack.dsn(database))

    async def customer(self, minor_units: int = 5_000_00, **deposit: Any) -> Customer:
        """Open a new customer with a balance."""
        name = f"guest-{os.getpid()}-{next(_numbers)}-{uuid.uuid4().hex[:6]}"
        person = Person(name, "Guest Customer", (Deposit("CHECKING", minor_units, **deposit),))
        await planting.open_people(self.connect, [person])
        customer_id = people.customer_id(name)
        token = await self.token(customer_id)
        return Customer(name, customer_id, people.account_id(name), token)

    async def login_identity(self, customer: Customer) -> LoginIdentity:
        """Give a customer a login with the face of its user name, at the first call."""
        person = Person(customer.user_name, "Guest Customer", ())
        vault = await cluster.auth_vault(self.where, self.stack.home.run)
        connection = await self.connect("bp_auth")
        try:
            cost = int(self.where["BP_BCRYPT_COST"])
            await logins.plant(connection, vault, [person], with_faces=True, cost=cost)
        finally:
            await connection.close()
        name = customer.user_name
        return LoginIdentity(person.email, people.password(name), people.phone(name))

    async def show_camera(self, liveness_session_id: str, picture: bytes) -> Answer:
        """Send the picture of a liveness check to AWS, as the telephone does itself."""
        tls = ssl.create_default_context(cafile=self.where["BP_PARTNER_REKOGNITION_CA_FILE"])
        url = f"{self.where['BP_PARTNER_REKOGNITION_URL']}/liveness/{liveness_session_id}"
        async with self.session.post(url, data=picture, ssl=tls) as response:
            return await read_answer(response)

    async def token(self, subject: uuid.UUID | str, **claims: Any) -> str:
        """Have the provider sign a token with any claims, valid or not."""
        body = {"subject": str(subject), "scope": SCOPES, "lifetime_s": TOKEN_LIFE_S, **claims}
        answer = await self.control("oauth", "POST", "/control/tokens", body)
        return answer.body["access_token"]

    async def renewed(self, customer: Customer) -> Customer:
        """Return the customer with a new token."""
        return replace(customer, token=await self.token(customer.customer_id))

    async def call(
        self,
        method: str,
        path: str,
        token: str = "",
        body: Any = None,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> Answer:
        """Send one request to the gateway."""
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(
            method,
            self.where["BP_GATEWAY_URL"] + path,
            json=body,
            data=data,
            headers=sent,
            ssl=self._tls,
        ) as response:
            return await read_answer(response)

    async def pay(
        self, customer: Customer, minor_units: int = 10_00, *, key: str = "", **beneficiary: str
    ) -> Answer:
        """Request an interbank transfer."""
        body = {
            "accountId": str(customer.account_id),
            "amount": {"currencyCode": "USD", "minorUnits": str(minor_units)},
            "beneficiary": BO | beneficiary,
            "memo": "rent",
        }
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return await self.call("POST", "/v1/transfers/interbank", customer.token, body, headers)

    async def book(
        self, payer: Customer, payee: Customer, minor_units: int, *, key: str = ""
    ) -> Answer:
        """Request a book transfer."""
        body = {
            "accountId": str(payer.account_id),
            "destinationAccountId": str(payee.account_id),
            "amount": {"currencyCode": "USD", "minorUnits": str(minor_units)},
        }
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return await self.call("POST", "/v1/transfers/internal", payer.token, body, headers)

    async def transfer(self, customer: Customer, transfer_id: str) -> dict[str, Any]:
        """Read a transfer."""
        path = f"/v1/transfers/interbank/{transfer_id}"
        return (await self.call("GET", path, customer.token)).body

    async def in_state(
        self, customer: Customer, transfer_id: str, *states: str, timeout_s: float = 60.0
    ) -> dict[str, Any]:
        """Wait until a transfer is in one of the states, and return it."""

        async def there() -> dict[str, Any] | None:
            found = await self.transfer(customer, transfer_id)
            return found if found.get("state") in states else None

        return await until(there, timeout_s, f"{transfer_id} in {states}")

    async def only_transfer(self, customer: Customer) -> dict[str, Any]:
        """Wait until the customer's only transfer exists, and return it."""

        async def one() -> dict[str, Any] | None:
            path = f"/v1/transfers/interbank?accountId={customer.account_id}"
            answer = await self.call("GET", path, customer.token)
            found = answer.body.get("transfers") or []
            return found[0] if found else None

        return await until(one, 30, "a transfer of the customer")

    async def posted(self, customer: Customer) -> int:
        """Return the ledger's balance of the customer's account, in minor units."""
        connection = await self.connect("bp_write")
        try:
            balance: Any = await connection.fetchval(
                "SELECT balance FROM ledger.account WHERE account_id = $1", customer.account_id
            )
            return int(balance)
        finally:
            await connection.close()

    async def control(self, partner: str, method: str, path: str, body: Any = None) -> Answer:
        """Send one request to a partner's control API."""
        if partner not in self._controls:
            socket = self.where[f"BP_PARTNER_{partner.upper()}_CONTROL_SOCKET"]
            connector = aiohttp.UnixConnector(socket, limit=200)
            self._controls[partner] = aiohttp.ClientSession("http://partner", connector=connector)
        async with self._controls[partner].request(method, path, json=body) as response:
            return await read_answer(response)

    async def fault(self, partner: str, **spec: Any) -> str:
        """Inject a fault into a partner; return the fault's id."""
        return (await self.control(partner, "POST", "/control/faults", spec)).body["id"]

    async def clear_faults(self, partner: str) -> None:
        """Remove all faults of a partner."""
        await self.control(partner, "DELETE", "/control/faults")

    async def at_ach(self, transfer_id: str) -> dict[str, Any]:
        """Return the clearing house's record of a transfer; empty when it has none."""
        answer = await self.control("ach", "GET", f"/control/transfers/{transfer_id}")
        return answer.body if answer.status == 200 else {}

    async def two_banking_days(self) -> dict[str, Any]:
        """Let two banking days pass at the clearing house."""
        path = "/control/clock/advance"
        return (await self.control("ach", "POST", path, {"banking_days": 2})).body

    async def pushes(self, customer: Customer) -> list[dict[str, Any]]:
        """Return what the push service delivered to the customer's device, with duplicates."""
        device = people.device_token(customer.user_name)
        answer = await self.control("fcm", "GET", f"/control/messages?device={device}&limit=200")
        return [record["message"] for record in answer.body["delivered"]]

    async def shown(self, customer: Customer) -> list[dict[str, Any]]:
        """Return what the customer sees: a message replaces an earlier one with the same tag."""
        device = people.device_token(customer.user_name)
        answer = await self.control("fcm", "GET", f"/control/messages?device={device}&limit=200")
        return answer.body["shown"]

    async def pushed(
        self, customer: Customer, count: int = 1, within_s: float = 45
    ) -> list[dict[str, Any]]:
        """Wait until the customer's device has received `count` messages, and return them all."""

        async def enough() -> list[dict[str, Any]] | None:
            got = await self.pushes(customer)
            return got if len(got) >= count else None

        return await until(enough, within_s, f"{count} pushes to {customer.user_name}")

    async def judged(self) -> dict[str, Any]:
        """Return the judge's verdict over every store, after waiting for work in flight."""
        stores = Stores.of(
            self.where,
            lambda database: asyncpg.connect(self.stack.dsn(database, "bp_judge")),
            valkey.login(self.stack.credentials, valkey.JUDGE),
        )
        return (await judge(stores, scaled_s(DRAIN_S))).to_json()


def _session(address: str | None) -> aiohttp.ClientSession:
    local = (address, 0) if address else None
    connector = aiohttp.TCPConnector(limit=200, local_addr=local)
    return aiohttp.ClientSession(connector=connector)


async def read_answer(response: aiohttp.ClientResponse) -> Answer:
    """Read a whole response."""
    text = await response.text()
    is_json = "json" in response.headers.get("Content-Type", "")
    body: Any = await response.json(content_type=None) if is_json and text else {}
    return Answer(response.status, text, body, response.headers)
