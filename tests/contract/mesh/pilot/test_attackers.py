"""A local account, a proxy that pretends to be another one, and odd calls of the admin API."""

import asyncio
import os
import stat
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from ops.waiting import until
from tests.rigs.mesh.pilot import Plane
from tests.rigs.mesh.pilot_clients import first_request, refused
from tests.rigs.mesh.pilot_mesh import PROXIES, Piloted

NOBODY = 65534
CONNECT = """
import socket, sys
socket.socket(socket.AF_UNIX).connect(sys.argv[1])
"""


async def test_only_the_banks_user_can_open_sockets_and_files(
    piloted: Piloted, plane: Plane
) -> None:
    places = plane.places
    for path in (places.admin_socket, *(places.ads_socket(f"{name}-0") for name in PROXIES)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(places.admin_socket.parent.stat().st_mode) == 0o700
    last_good = places.proxy("payments-0") / "last-good"

    async def written() -> bool:
        return (last_good / "bootstrap.json").exists()

    await until(written, what="there are last good files")
    for folder in (places.history, places.active, last_good):
        for path in (folder, *folder.rglob("*")):
            assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another account")
@pytest.mark.parametrize("name", ["control-plane/admin.sock", "payments/ads.sock"])
async def test_another_account_of_the_machine_cannot_connect(
    piloted: Piloted, plane: Plane, name: str
) -> None:
    """Even if the folders above were open to everybody."""
    path, home = plane.places.run / name, plane.places.home
    opened = {each: each.stat().st_mode for each in (home, plane.places.run, path.parent)}
    for each in opened:
        each.chmod(0o755)
    try:
        process = await asyncio.create_subprocess_exec(
            # The real interpreter: another account may not reach the virtual environment.
            *(str(Path(sys.executable).resolve()), "-I", "-c", CONNECT, str(path)),
            user=NOBODY,
            cwd="/",
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await process.communicate()
    finally:
        for each, mode in opened.items():
            each.chmod(stat.S_IMODE(mode))
    assert b"PermissionError" in errors


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (first_request("gateway-0"), grpc.StatusCode.PERMISSION_DENIED),
        (first_request(""), grpc.StatusCode.PERMISSION_DENIED),
        (b"\xff\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
        (b"", grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=["another proxy", "no name", "no request", "nothing"],
)
async def test_a_socket_serves_its_own_proxy_alone(
    piloted: Piloted, plane: Plane, first: bytes, code: grpc.StatusCode
) -> None:
    before = await plane.status("audit-0")
    found, _ = await refused(plane.places.ads_socket("audit-0"), first)
    assert found == code
    assert await plane.status("audit-0") == before


@pytest.mark.parametrize(
    "name",
    ["../evil.yaml", "/etc/evil.yaml", "a/../../evil.yaml", ".hidden", "a//b.yaml", "n" * 300, ""],
)
async def test_a_file_name_outside_the_configuration_is_refused(plane: Plane, name: str) -> None:
    before = _tree(plane.places.home / "mesh")
    for target in ("apply", "check"):
        said = await plane.call("POST", target, {"files": {name: "kind: x\n"}})
        assert (said.status, said.error["reason"]) == (422, "CONFIG_REFUSED")
    assert _tree(plane.places.home / "mesh") == before


def _tree(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("verb", "target", "body", "status"),
    [
        ("POST", "apply", b'{"files": {"a.yaml": "' + b"x" * (17 << 20) + b'"}}', 413),
        ("POST", "apply", b"no JSON", 400),
        ("POST", "apply", b"[" * 100_000, 400),
        ("POST", "apply", b"[]", 400),
        ("POST", "apply", b"{}", 400),
        ("POST", "apply", b'{"files": {"a.yaml": 1}}', 400),
        ("POST", "apply", b'{"files": {}}', 422),
        ("POST", "apply", b'{"files": {"a.yaml": ""}, "origin": "x"}', 400),
        ("POST", "apply", b'{"files": {"a.yaml": ""}, "parent": "x"}', 400),
        ("POST", "rollback", b'{"to": "../1"}', 400),
        ("POST", "rollback", b'{"to": 1.5}', 400),
        ("POST", "apply", b'{"files": {"a.yaml": ""}, "force": "false"}', 400),
        ("POST", "rollback", b'{"to": 999999}', 404),
        ("POST", "rollback", b'{"to": -1}', 404),
        ("GET", "history/..%2f..%2f1", None, 400),
        ("GET", "history/0", None, 404),
        ("GET", "history?limit=x", None, 400),
        ("GET", "synced?timeout_s=x", None, 400),
        ("GET", "synced?timeout_s=nan", None, 400),
        ("GET", "synced?timeout_s=-1", None, 400),
        ("POST", "drain", b'{"instance": "../x"}', 404),
        ("POST", "apply-for", b'{"files": {"a.yaml": ""}, "seconds": 1e400}', 400),
        ("POST", "expire", b'{"name": "no-such"}', 404),
        ("GET", "proxies/..%2fx", None, 404),
        ("GET", "no-such-page", None, 404),
        ("DELETE", "history/1", None, 405),
        ("GET", "decision?from=a", None, 400),
    ],
)
async def test_an_odd_call_of_the_admin_api_gets_an_error_as_json(
    plane: Plane, verb: str, target: str, body: Any, status: int
) -> None:
    number = await plane.number()
    said = await plane.call(verb, target, **({} if body is None else {"data": body}))
    assert said.status == status, said
    assert said.error["reason"]
    assert await plane.number() == number
