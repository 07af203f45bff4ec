"""The handlers of auth over PostgreSQL, Valkey and OpenBao; every partner is down, or none is."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bp.auth.v1 import auth_service_pb2 as pb

from ops.provision.bao_client import BaoClient
from ops.provision.credentials import load_or_make
from ops.provision.secrets import kv_secrets
from ops.waiting import scaled_s
from sandbox.seed import logins, people
from sandbox.seed.people import Person
from services.auth.answers import Answers
from services.auth.background import Background
from services.auth.breached import BreachedPasswords
from services.auth.challenges import Challenges
from services.auth.counters import FaceChecks, Sends, Tries
from services.auth.faces import FaceMatch
from services.auth.grants import EndedGrants, GrantCipher
from services.auth.grpc_api import AuthApi
from services.auth.handlers.dependencies import Dependencies, Keys
from services.auth.partners.oauth import TokenProvider
from services.auth.partners.rekognition import Access, Limits, Rekognition
from services.auth.partners.sms import SmsGateway
from services.auth.password_pool import PasswordPool, QueueLimits
from services.auth.sealing import Sealer
from services.auth.state import OtpMethod, User
from services.auth.store import Store
from services.chassis.call_context import Call, current_call
from services.chassis.http_client import partner_session
from services.chassis.page_tokens import PageTokens
from services.chassis.vault import Vault
from services.kernel.clock import utc_now
from tests.integration.auth.logins import CODE_KEY, SETTINGS, Logins, login_session, logins_of
from tests.rigs.stores import OpenBaoStore, PostgresStore, ValkeyStore

COST = 4
NEW = "seven purple tugboats"


@dataclass(frozen=True)
class Stores:
    """What auth needs to handle calls."""

    postgres: PostgresStore
    valkey: ValkeyStore
    openbao: OpenBaoStore
    vault: Vault
    store: Store


@dataclass
class Handling:
    """Auth's API, and a customer who can log in."""

    deps: Dependencies
    logins: Logins
    api: AuthApi
    person: Person

    async def user(self) -> User:
        """Read the customer's row."""
        found = await self.deps.store.user(people.customer_id(self.person.user_name))
        assert found is not None
        return found

    async def waiting_for_code(self, code: str, **changes: Any) -> str:
        """Begin a login session of the customer with this code; return its id."""
        user = await self.user()
        fields: dict[str, Any] = {
            "customer_id": user.customer_id,
            "login_epoch": user.login_epoch,
            "methods": (OtpMethod.SMS,),
        }
        session = login_session(**fields | changes)
        session_id = await self.deps.sessions.begin(session)
        await self.deps.codes.put(session_id, session.purpose, code)
        return session_id

    async def forgot(self, email: str = "", device_token: str = "") -> str:
        """Begin a reset from a new network address; return its id."""
        call_from(uuid.uuid4())
        request = pb.ForgotPasswordRequest(
            email=email or self.person.email, device_token=device_token
        )
        return (await self.api.forgot_password(request, None)).session_id

    async def reset(self, session_id: str, otp: str, password: str = NEW) -> None:
        """Set a new password with a code, from a new network address."""
        call_from(uuid.uuid4())
        request = pb.ResetPasswordRequest(session_id=session_id, otp=otp, new_password=password)
        await self.api.reset_password(request, None)


def call_from(unique: uuid.UUID, *, session_id: str = "", device_id: str = "") -> None:
    """Let the test be a call from an IPv6 network of its own."""
    words = [unique.hex[at : at + 4] for at in range(0, 16, 4)]
    address = f"2001:{words[1]}:{words[2]}:{words[3]}::1"
    call = Call(
        *("", "gateway", "", frozenset[str](), "", "", "", {}, utc_now()),
        session_id=session_id,
        device_id=device_id,
        client_address=address,
    )
    current_call.set(call)


@asynccontextmanager
async def handling(stores: Stores, partners: Path | None = None) -> AsyncGenerator[Handling]:
    """Build auth's dependencies as its bootstrap does. `partners` is the socket of the partners'
    sandboxes; without it, no partner answers."""
    secrets = await _secrets(stores)
    own = secrets["service/auth"]
    async with AsyncExitStack() as stack:
        client = stores.valkey.client("auth")
        stack.push_async_callback(client.aclose)
        passwords = PasswordPool(COST, 1, QueueLimits(64, 60.0))
        stack.callback(passwords.close)
        socket_out = partners or Path("/nonexistent/sidecar")
        settings = SETTINGS.model_copy(update={"socket_out": socket_out})
        face_s = 1.0 if partners is None else scaled_s(60)
        session = await stack.enter_async_context(partner_session(settings))
        rekognition = Rekognition(
            socket_out, Access.of(secrets["external/rekognition"]), Limits(face_s)
        )
        stack.callback(rekognition.close)
        keys = Keys(bytes.fromhex(own["password_key"]), bytes.fromhex(own["code_key"]))
        adapters = logins_of(client)
        provider = TokenProvider(session, secrets["external/oauth-login"])
        ended_grants = EndedGrants(client, GrantCipher(CODE_KEY), provider.revoke)
        deps = Dependencies(
            settings=settings,
            store=stores.store,
            keys=keys,
            sealer=Sealer(stores.vault, own),
            passwords=passwords,
            breached=BreachedPasswords.open(),
            tries=Tries(client, keys.code_key),
            sends=Sends(client, settings),
            face_checks=FaceChecks(client),
            sessions=adapters.sessions,
            codes=adapters.codes,
            challenges=Challenges(client),
            answers=Answers(client),
            families=adapters.families,
            ended_grants=ended_grants,
            revocations=adapters.revocations,
            provider=provider,
            sms=SmsGateway(session, secrets["external/sms"]),
            faces=FaceMatch(rekognition, face_s),
            tokens=PageTokens.of(own),
            background=Background(),
            receipt_secrets=(),
        )
        person = Person(f"guest-{uuid.uuid4().hex[:12]}", "Guest Customer", ())
        await _plant(stores, person)
        yield Handling(deps, adapters, AuthApi(deps), person)
        await deps.background.drain(30)


async def _secrets(stores: Stores) -> dict[str, dict[str, str]]:
    """Write auth's secret to OpenBao, as provisioning does; return all secrets."""
    home = stores.openbao.home
    made = kv_secrets(load_or_make(home.secrets), stores.postgres.part.server, home.partners)
    secrets = {name: dict(fields) for name, fields in made.items()}
    async with BaoClient(stores.openbao.part.private_addr, stores.openbao.part.root_token()) as bao:
        await bao.write("secret/data/service/auth", data=secrets["service/auth"])
    return secrets


async def _plant(stores: Stores, person: Person) -> None:
    connection = await stores.postgres.session("postgres", "bp_auth")
    try:
        await logins.plant(connection, stores.vault, [person], with_faces=False, cost=COST)
    finally:
        await connection.close()
