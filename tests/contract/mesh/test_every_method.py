"""The allowed callers of each RPC of the bank, as a table that a person has reviewed.

The policies in proto/ are the source. This table is written by hand: if a policy allows another
caller, the test fails until a person has reviewed the change and updated the table.
"""

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from ops.waiting import scaled_s
from services.contracts import load
from tests.rigs.mesh.proxies import SERVICES, Rig, identity

CALLERS = {
    "/bp.audit.v1.AuditService/ListAuditRecords": {"operator"},
    "/bp.auth.v1.AuthService/Login": {"gateway"},
    "/bp.auth.v1.AuthService/ResendOtp": {"gateway"},
    "/bp.auth.v1.AuthService/VerifyOtp": {"gateway"},
    "/bp.auth.v1.AuthService/VerifyBiometric": {"gateway"},
    "/bp.auth.v1.AuthService/RefreshTokens": {"gateway"},
    "/bp.auth.v1.AuthService/StepUp": {"gateway"},
    "/bp.auth.v1.AuthService/Logout": {"gateway"},
    "/bp.auth.v1.AuthService/ListSessions": {"gateway"},
    "/bp.auth.v1.AuthService/RevokeSession": {"gateway"},
    "/bp.auth.v1.AuthService/ListDevices": {"gateway"},
    "/bp.auth.v1.AuthService/RemoveDevice": {"gateway"},
    "/bp.auth.v1.AuthService/CreateDeviceKeyChallenge": {"gateway"},
    "/bp.auth.v1.AuthService/RegisterDeviceKey": {"gateway"},
    "/bp.auth.v1.AuthService/EnrolTotp": {"gateway"},
    "/bp.auth.v1.AuthService/ConfirmTotp": {"gateway"},
    "/bp.auth.v1.AuthService/RemoveTotp": {"gateway"},
    "/bp.auth.v1.AuthService/ChangePassword": {"gateway"},
    "/bp.auth.v1.AuthService/ForgotPassword": {"gateway"},
    "/bp.auth.v1.AuthService/ResetPassword": {"gateway"},
    "/bp.auth.v1.AuthService/ReceiveSmsReceipt": {"gateway"},
    "/bp.customers.v1.CustomersService/GetMe": {"gateway"},
    "/bp.customers.v1.CustomersService/ListAccounts": {"gateway"},
    "/bp.customers.v1.CustomersService/GetBalance": {"gateway"},
    "/bp.customers.v1.CustomersService/CheckDebit": {"payments", "transfers"},
    "/bp.customers.v1.CustomersService/BatchCheckDebits": {"payments", "transfers"},
    "/bp.customers.v1.CustomersService/BatchGetLocales": {"notifications"},
    "/bp.customers.v1.CustomersService/BatchGetHolders": {"transfers"},
    "/bp.notifications.v1.NotificationsService/ListNotifications": {"gateway"},
    "/bp.payments.v1.PaymentsService/CreateInterbankTransfer": {"gateway"},
    "/bp.payments.v1.PaymentsService/GetInterbankTransfer": {"gateway"},
    "/bp.payments.v1.PaymentsService/ListInterbankTransfers": {"gateway"},
    "/bp.payments.v1.PaymentsService/CancelInterbankTransfer": {"gateway"},
    "/bp.payments.v1.PaymentsService/ReceiveAchWebhook": {"gateway"},
    "/bp.transfers.v1.TransfersService/CreateBookTransfer": {"gateway"},
    "/bp.transfers.v1.TransfersService/GetBookTransfer": {"gateway"},
    "/bp.transfers.v1.TransfersService/ListBookTransfers": {"gateway"},
    "/bp.transfers.v1.TransfersService/ListEntries": {"gateway"},
}
IDENTITIES = (*SERVICES, "gateway", "operator", "relay", "router")
SIMILAR_PATHS = (
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/bp.payments.v1.PaymentsService/",
    "/bp.payments.v1.PaymentsService/createinterbanktransfer",
    "//bp.payments.v1.PaymentsService/CreateInterbankTransfer",
    "/bp.payments.v1.PaymentsService/CreateInterbankTransfer/",
    "/bp.payments.v1.PaymentsService/x/../CreateInterbankTransfer",
    "/bp.payments.v1.PaymentsService/CreateInterbankTransfe%72",
)
"""Paths that resemble a method's path but are not one; no caller may use them."""


@pytest.fixture(scope="module")
async def rig() -> AsyncIterator[Rig]:
    """Return all sidecars without services: a call that gets through fails with UNAVAILABLE."""
    made = Rig()
    try:
        await made.start(SERVICES)
        yield made
    finally:
        await made.close()


def test_the_table_names_every_rpc() -> None:
    assert set(CALLERS) == set(load())


@pytest.mark.parametrize("caller", IDENTITIES)
async def test_an_identity_calls_what_the_table_allows_and_nothing_else(
    rig: Rig, caller: str
) -> None:
    folder = rig.home / "clients" / caller
    rig.mesh_ca.issue(folder, uri=identity(caller))
    answers = {path: await _code(rig, caller, path) for path in CALLERS}
    let_in = {path for path, code in answers.items() if code is grpc.StatusCode.UNAVAILABLE}
    refused = {path for path, code in answers.items() if code is grpc.StatusCode.PERMISSION_DENIED}
    assert let_in == {path for path, callers in CALLERS.items() if caller in callers}
    assert let_in | refused == set(CALLERS), answers


async def test_a_path_that_resembles_a_method_is_denied_to_every_caller(rig: Rig) -> None:
    for caller in ("gateway", "payments"):
        rig.mesh_ca.issue(rig.home / "clients" / caller, uri=identity(caller))
        codes = [await _code(rig, caller, path, to="payments") for path in SIMILAR_PATHS]
        assert set(codes) == {grpc.StatusCode.PERMISSION_DENIED}, (caller, codes)


async def _code(rig: Rig, caller: str, path: str, to: str = "") -> grpc.StatusCode:
    name = to or path.split(".")[1]
    folder = rig.home / "clients" / caller
    credentials = grpc.ssl_channel_credentials(
        rig.mesh_ca.pem.read_bytes(),
        (folder / "key.pem").read_bytes(),
        (folder / "cert.pem").read_bytes(),
    )
    options = [("grpc.ssl_target_name_override", name), ("grpc.enable_retries", 0)]
    target = f"127.0.0.1:{rig.mtls[name]}"
    async with grpc.aio.secure_channel(target, credentials, options) as channel:
        try:
            async with asyncio.timeout(scaled_s(5)):
                await channel.unary_unary(path)(b"")
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK
