"""Which callers a sidecar accepts and which it rejects."""

import asyncio
import os
import ssl
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import grpc
import grpc.aio
from bp.customers.v1 import customers_service_pb2 as customers
from bp.customers.v1 import customers_service_pb2_grpc as customers_grpc

from ops.waiting import scaled_s
from tests.contract.mesh.conftest import Mesh
from tests.rigs.mesh.pki import Authority
from tests.rigs.mesh.proxies import Rig, identity
from tests.rigs.mesh.upstream import Payments, Seen, serve

_CHECK = customers.CheckDebitRequest(customer_id="a", account_id="b")
_NOBODY = 65534


def _stub(channel: grpc.aio.Channel) -> customers_grpc.CustomersServiceStub:
    return customers_grpc.CustomersServiceStub(channel)


async def _code(call: grpc.aio.UnaryUnaryCall) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_a_listed_caller_gets_through_and_is_known_by_its_identity(mesh: Mesh) -> None:
    async with mesh.channel("payments", "customers") as channel:
        forged = (("x-forwarded-client-cert", "URI=spiffe://bp.internal/ns/bp/sa/gateway"),)
        await _stub(channel).CheckDebit(_CHECK, metadata=forged)
    seen = mesh.seen.metadata["x-forwarded-client-cert"]
    assert seen.endswith(f"URI={identity('payments')}")
    assert "gateway" not in seen


async def test_a_method_that_does_not_list_the_caller_is_refused(mesh: Mesh) -> None:
    calls = mesh.seen.calls
    async with mesh.channel("payments", "customers") as channel:
        code = await _code(_stub(channel).GetBalance(customers.GetBalanceRequest(account_id="a")))
        unknown = channel.unary_unary("/bp.customers.v1.CustomersService/DropAll")
        assert (code, await _code(unknown(b""))) == (grpc.StatusCode.PERMISSION_DENIED,) * 2
        health = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert await _code(health(b"")) is grpc.StatusCode.PERMISSION_DENIED
    assert mesh.seen.calls == calls


async def test_a_service_reaches_only_what_its_sidecar_lists(mesh: Mesh) -> None:
    async with mesh.channel("notifications", "customers") as channel:
        code = await _code(_stub(channel).CheckDebit(_CHECK))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert (await mesh.send("transfers", "ach-network.example"))[0] == 403
    assert (await mesh.send("payments", "fcm.googleapis.com"))[0] == 403
    assert (await mesh.send("payments", "example.com"))[0] == 403


async def test_another_services_certificate_is_refused_by_the_method(mesh: Mesh) -> None:
    for name, expected in (
        ("payments", grpc.StatusCode.OK),
        ("transfers", grpc.StatusCode.OK),
        ("notifications", grpc.StatusCode.PERMISSION_DENIED),
        ("gateway", grpc.StatusCode.PERMISSION_DENIED),
    ):
        folder = mesh.rig.home / "clients" / name
        mesh.rig.mesh_ca.issue(folder, uri=identity(name))
        async with direct(mesh.rig, folder) as channel:
            assert await _code(_stub(channel).CheckDebit(_CHECK)) is expected, name


async def test_invalid_client_certificates_end_the_handshake(mesh: Mesh) -> None:
    rig, folder = mesh.rig, mesh.rig.home / "clients"
    stranger = Authority("stranger", rig.home / "pki")
    payments = identity("payments")
    rig.mesh_ca.issue(folder / "expired", uri=payments, ends_in=timedelta(minutes=-1))
    rig.mesh_ca.issue(folder / "domain", uri="spiffe://evil.example/ns/bp/sa/payments")
    rig.mesh_ca.issue(folder / "no-identity", dns=("payments",))
    stranger.issue(folder / "stranger", uri=payments)
    calls = mesh.seen.calls
    for client in (None, "expired", "domain", "no-identity", "stranger"):
        path = None if client is None else folder / client
        assert await _handshake_ends(rig.mtls["customers"], path), client
    good = mesh.rig.home / "certs" / "payments"
    assert not await _handshake_ends(rig.mtls["customers"], good)
    assert mesh.seen.calls == calls


async def test_tls_before_1_3_is_refused(mesh: Mesh) -> None:
    good = mesh.rig.home / "certs" / "payments"
    assert await _handshake_ends(mesh.rig.mtls["customers"], good, ssl.TLSVersion.TLSv1_2)


async def test_plain_text_is_refused(mesh: Mesh) -> None:
    target = f"127.0.0.1:{mesh.rig.mtls['customers']}"
    async with grpc.aio.insecure_channel(target) as channel:
        code = await _code(_stub(channel).CheckDebit(_CHECK, timeout=scaled_s(5)))
    assert code is grpc.StatusCode.UNAVAILABLE


async def test_a_caller_refuses_a_server_of_another_identity(mesh: Mesh) -> None:
    async with mesh.channel("payments", "transfers") as channel:
        call = channel.unary_unary("/bp.transfers.v1.TransfersService/GetBookTransfer")
        assert await _code(call(b"")) is grpc.StatusCode.UNAVAILABLE
    stats = await mesh.rig.stats("payments", "service/transfers.ssl.fail_verify_san")
    assert sum(stats.values()) >= 1


async def test_no_call_bypasses_the_sidecar(mesh: Mesh) -> None:
    rig = mesh.rig
    server = await serve(rig.socket_in("transfers"), Payments(Seen()))
    paths = [rig.socket_out("payments"), rig.admin_socket("payments")]
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert _tcp_ports_of(os.getpid()) <= set(rig.partner_port.values())
    if os.geteuid() == 0:
        os.chmod(rig.home, 0o755)  # noqa: S103 - other users may enter the folder, not open the sockets
        for path in paths:
            assert "PermissionError" in _connect_as_nobody(path)
    await server.stop(None)


async def test_a_renewed_certificate_is_taken_without_a_failed_call(mesh: Mesh) -> None:
    rig, port = mesh.rig, mesh.rig.mtls["customers"]
    before = await _served_certificate(rig, port)
    codes: set[grpc.StatusCode] = set()
    async with mesh.channel("payments", "customers") as channel:
        rig.mesh_ca.issue(rig.home / "certs" / "customers", uri=identity("customers"))
        rig.mesh_ca.issue(rig.home / "certs" / "payments", uri=identity("payments"))
        async with asyncio.timeout(scaled_s(10)):
            while await _served_certificate(rig, port) == before:
                codes.add(await _code(_stub(channel).CheckDebit(_CHECK)))
        codes.add(await _code(_stub(channel).CheckDebit(_CHECK)))
    assert codes == {grpc.StatusCode.OK}


def direct(rig: Rig, folder: Path) -> grpc.aio.Channel:
    """Return a channel directly to the customers' sidecar, with the certificate in the folder."""
    credentials = grpc.ssl_channel_credentials(
        rig.mesh_ca.pem.read_bytes(),
        (folder / "key.pem").read_bytes(),
        (folder / "cert.pem").read_bytes(),
    )
    options = [
        ("grpc.ssl_target_name_override", "customers"),
        ("grpc.default_authority", "customers"),
    ]
    return grpc.aio.secure_channel(f"127.0.0.1:{rig.mtls['customers']}", credentials, options)


async def _handshake_ends(
    port: int, client: Path | None, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = newest
    context.set_alpn_protocols(["h2"])
    if client is not None:
        context.load_cert_chain(client / "cert.pem", client / "key.pem")
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        # In TLS 1.3 the server rejects a client certificate only after the handshake. A server that
        # accepts it sends its HTTP/2 settings.
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        said = await reader.read(9)
        writer.close()
    except (ssl.SSLError, ConnectionError):
        return True
    return said == b""


async def _served_certificate(rig: Rig, port: int) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    folder = rig.home / "certs" / "payments"
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    served = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    assert served
    return served


def _tcp_ports_of(pid: int) -> set[int]:
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and row[9] in inodes}


def _connect_as_nobody(path: Path) -> str:
    code = (
        f"import os, socket; os.setuid({_NOBODY}); "
        f"socket.socket(socket.AF_UNIX).connect({str(path)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stderr
