"""The wiring of the auth service; nothing else here."""

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg
from bp.auth.v1 import auth_service_pb2
from google.protobuf.descriptor import ServiceDescriptor

from services.auth.answers import Answers
from services.auth.background import Background
from services.auth.breached import BreachedPasswords
from services.auth.challenges import Challenges
from services.auth.codes import Codes
from services.auth.counters import FaceChecks, Sends, Tries
from services.auth.faces import FaceMatch
from services.auth.families import Families
from services.auth.free_cores import FreeCores
from services.auth.grants import EndedGrants, GrantCipher
from services.auth.grpc_api import AuthApi
from services.auth.handlers.dependencies import Dependencies, Keys
from services.auth.login_sessions import LoginSessions
from services.auth.operator_requests import OperatorRequests
from services.auth.partners.oauth import TokenProvider
from services.auth.partners.rekognition import Access, Limits, Rekognition
from services.auth.partners.sms import SmsGateway
from services.auth.password_pool import PasswordPool, QueueLimits
from services.auth.publisher import Publisher
from services.auth.revocations_out import Revocations
from services.auth.sealing import Sealer
from services.auth.settings import AuthSettings
from services.auth.store import Store
from services.auth.upkeep import Reconciliation, Upkeep
from services.chassis.grpc_server import Server
from services.chassis.http_client import partner_session
from services.chassis.kafka import AckedProducer
from services.chassis.page_tokens import PageTokens
from services.chassis.postgres import Database, open_pool
from services.chassis.revocations import revocation_feed
from services.chassis.valkey import open_valkey
from services.chassis.vault import Vault, open_vault

SERVICE = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]
DRAIN_S = 5.0
"""How long messages that the answers did not wait for may take after SIGTERM."""


def apis(deps: Dependencies) -> dict[ServiceDescriptor, object]:
    """Return the API objects under the services of the contract."""
    return {SERVICE: AuthApi(deps)}


@dataclass(frozen=True, slots=True)
class _Partners:
    """The clients of the partners, each with its own connections."""

    sms: SmsGateway
    receipt_secrets: tuple[bytes, ...]
    provider: TokenProvider
    faces: FaceMatch


async def _partners(stack: AsyncExitStack, vault: Vault, settings: AuthSettings) -> _Partners:
    sms_session = await stack.enter_async_context(partner_session(settings))
    oauth_session = await stack.enter_async_context(partner_session(settings))
    access = Access.of(await vault.secret("external/rekognition"))
    limits = Limits(settings.rekognition_timeout_s, threads_max=settings.rekognition_threads_max)
    if settings.socket_out is None:
        raise ValueError("BP_SOCKET_OUT is not set. Set it to the path of the sidecar's socket.")
    rekognition = Rekognition(settings.socket_out, access, limits)
    stack.callback(rekognition.close)
    sms_account = await vault.secret("external/sms")
    return _Partners(
        sms=SmsGateway(sms_session, sms_account),
        receipt_secrets=(sms_account["webhook_secret"].encode(),),
        provider=TokenProvider(oauth_session, await vault.secret("external/oauth-login")),
        faces=FaceMatch(rekognition, settings.face_check_s_max),
    )


async def _pool(stack: AsyncExitStack, vault: Vault, settings: AuthSettings) -> asyncpg.Pool:
    database = Database.from_secret(await vault.secret("database/postgres/auth"))
    pool = await open_pool(database, f"auth/{settings.slot}", settings.pool_connections)
    return await stack.enter_async_context(pool)


async def _dependencies(
    stack: AsyncExitStack, vault: Vault, settings: AuthSettings, pool: asyncpg.Pool
) -> Dependencies:
    own = await vault.secret("service/auth")
    keys = Keys(bytes.fromhex(own["password_key"]), bytes.fromhex(own["code_key"]))
    valkey = open_valkey(settings, await vault.secret("valkey/auth"))
    stack.push_async_callback(valkey.aclose)
    passwords = PasswordPool(
        settings.bcrypt_cost,
        settings.hash_threads_max,
        QueueLimits(settings.hash_queue_max, settings.hash_wait_s_max),
        FreeCores(os.cpu_count() or 1, settings.hash_threads_max).hashes_at_once,
    )
    stack.callback(passwords.close)
    partners = await _partners(stack, vault, settings)
    cipher = GrantCipher(keys.code_key)
    return Dependencies(
        settings=settings,
        store=Store(pool),
        keys=keys,
        sealer=Sealer(vault, own),
        passwords=passwords,
        breached=BreachedPasswords.open(settings.breached_passwords_file),
        tries=Tries(valkey, keys.code_key),
        sends=Sends(valkey, settings),
        face_checks=FaceChecks(valkey),
        sessions=LoginSessions(valkey, settings),
        answers=Answers(valkey),
        codes=Codes(valkey, keys.code_key, settings),
        challenges=Challenges(valkey),
        families=Families(valkey, settings, cipher),
        ended_grants=EndedGrants(valkey, cipher, partners.provider.revoke),
        revocations=Revocations(valkey),
        provider=partners.provider,
        sms=partners.sms,
        faces=partners.faces,
        tokens=PageTokens.of(own),
        background=Background(),
        receipt_secrets=partners.receipt_secrets,
    )


async def main(settings: AuthSettings, stop: asyncio.Event) -> None:
    """Serve until `stop`; a background task that dies ends the process."""
    async with AsyncExitStack() as stack:
        vault = await open_vault(settings)
        pool = await _pool(stack, vault, settings)
        deps = await _dependencies(stack, vault, settings, pool)
        feed = await stack.enter_async_context(revocation_feed(settings, vault))
        server = Server(settings, apis(deps), feed.revoked)
        producer = AckedProducer(settings.kafka_bootstrap, f"auth-{settings.slot}")
        stack.callback(producer.close)
        publisher = Publisher(pool, producer)
        requests = OperatorRequests(deps.store, deps.tries, deps.families, deps.revocations)
        upkeep = Upkeep(
            reconciliation=Reconciliation(deps.store, deps.families, deps.revocations),
            requests=requests,
            grants=deps.ended_grants,
            store=deps.store,
            dummies=deps.passwords.dummies,
            publisher=publisher,
        )
        await upkeep.prepare()
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(vault.keep_alive()),
                tasks.create_task(feed.run()),
                tasks.create_task(publisher.run()),
                tasks.create_task(upkeep.run()),
            ]
            await server.start()
            await stop.wait()
            await server.drain()
            await deps.background.drain(DRAIN_S)
            for task in background:
                task.cancel()
