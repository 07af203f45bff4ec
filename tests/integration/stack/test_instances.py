"""Further instances of a service, draining, canaries, faults for a time: under steady calls."""

import asyncio
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mesh.pilot.drained import Drained
from ops.bpctl.mesh import canary_text
from ops.waiting import scaled_s, until
from sandbox.stack.supervisor.probes import http_json
from sandbox.stack.testing import RunningStack
from tests.rigs.bpctl import bpctl
from tests.rigs.running_bank import Bank
from tests.rigs.steady_calls import steady_calls

SERVICE, SECOND = "customers", "customers-1"
RECEIVED = "http.inbound.downstream_rq_total"


@pytest_asyncio.fixture
async def bank(stack: RunningStack) -> AsyncIterator[Bank]:
    """The bank with one instance of each service before and after the test."""
    running = Bank(stack)
    yield running
    await one_instance(stack)
    await running.close()


async def one_instance(stack: RunningStack) -> None:
    """End faults and canaries, and stop what a test started."""
    admin = str(stack.home.run / "control-plane" / "admin.sock")
    for each in (await http_json("http://x/v1/expiring", admin) or {})["expiring"]:
        # It may end by itself in this moment.
        await run(stack, "mesh", "inject", "stop", each["name"].removeprefix("inject-"))
    if canary_text.found(await config_in_force(stack), SERVICE):
        await said(stack, "mesh", "canary", "rollback", SERVICE)
    if f"{SERVICE}-0" in Drained(stack.home.root / "mesh" / "drained.json").marks():
        await said(stack, "mesh", "drain", f"{SERVICE}-0", "--undo")
    for name in (SECOND, "audit-1"):
        if name in stack.nodes():
            await said(stack, "sandbox", "instance", "stop", name)


async def run(stack: RunningStack, *arguments: str) -> tuple[int, str, str]:
    """Run bpctl; return its exit code, output and errors."""
    done = await asyncio.to_thread(bpctl, stack.home.root, *arguments)
    return done.returncode, done.stdout, done.stderr


async def said(stack: RunningStack, *arguments: str) -> str:
    """Run bpctl, which must succeed; return its output."""
    code, out, err = await run(stack, *arguments)
    assert code == 0, (arguments, out, err)
    return out


async def received(stack: RunningStack, name: str) -> int:
    """Return how many calls the proxy of an instance has received."""
    socket = str(stack.home.run / name / "admin.sock")
    answer = await http_json(f"http://envoy/stats?format=json&filter=^{RECEIVED}$", socket)
    return sum(int(each["value"]) for each in (answer or {}).get("stats", []))


async def receives_more(stack: RunningStack, name: str, calls: int = 5) -> None:
    """Wait until an instance has received some more calls."""
    before = await received(stack, name)

    async def more() -> bool:
        return await received(stack, name) >= before + calls

    await until(more, 60, f"{name} gets no calls")


async def instances(stack: RunningStack, service: str = SERVICE) -> dict[str, str]:
    """Return the state of each instance of a service."""
    found = json.loads(await said(stack, "mesh", "describe", service, "--json"))
    return {each["instance"]: each["state"] for each in found["instances"]}


async def config_in_force(stack: RunningStack) -> dict[str, str]:
    """Return the files in force."""
    folder = stack.home.root / "mesh" / "config"
    return {str(each.relative_to(folder)): each.read_text() for each in folder.rglob("*.yaml")}


async def test_an_instance_joins_drains_and_leaves_without_a_failed_call(bank: Bank) -> None:
    """It gets its share of the calls, none while it drains, and the bank works without it."""
    stack = bank.stack
    async with steady_calls(bank) as calls:
        await said(stack, "sandbox", "instance", "start", SERVICE)
        await receives_more(stack, SECOND)
        await said(stack, "mesh", "proxy-status", SECOND)
        await said(stack, "mesh", "proxy-config", SECOND, "clusters")
        code, _, err = await run(stack, "mesh", "drain", SERVICE)
        assert code == 1
        assert SECOND in err
        await said(stack, "mesh", "drain", SECOND)
        before = await received(stack, SECOND)
        await calls.more()
        assert await received(stack, SECOND) == before
        await said(stack, "mesh", "drain", SECOND, "--undo")
        await receives_more(stack, SECOND)
        await said(stack, "sandbox", "instance", "stop", SECOND)
        await calls.more()
    assert not calls.failed
    assert await instances(stack) == {f"{SERVICE}-0": "READY"}
    assert SECOND not in stack.nodes()


async def test_a_service_that_no_workload_calls_gets_an_instance_too(bank: Bank) -> None:
    """Regression: audit's second instance waited for its announcement until it was given up."""
    await said(bank.stack, "sandbox", "instance", "start", "audit")
    assert await instances(bank.stack, "audit") == {"audit-0": "READY", "audit-1": "READY"}
    await said(bank.stack, "sandbox", "instance", "stop", "audit-1")
    assert await instances(bank.stack, "audit") == {"audit-0": "READY"}


async def test_the_last_ready_instance_drains_only_by_force(bank: Bank) -> None:
    """Without it every call would fail."""
    code, _, err = await run(bank.stack, "mesh", "drain", f"{SERVICE}-0")
    assert code == 1
    assert "last ready instance" in err
    assert await instances(bank.stack) == {f"{SERVICE}-0": "READY"}


async def test_drained_instances_stay_drained_when_the_control_plane_restarts(bank: Bank) -> None:
    """The decision is on disk."""
    stack = bank.stack
    await said(stack, "sandbox", "instance", "start", SERVICE)
    await said(stack, "mesh", "drain", SECOND)
    pid = stack.nodes()["control-plane"]["pid"]
    stack.kill("control-plane")
    await asyncio.to_thread(stack.wait_ready, "control-plane", not_pid=pid)
    assert await instances(stack) == {f"{SERVICE}-0": "READY", SECOND: "DRAINING"}


async def test_a_canary_gets_its_share_and_is_rolled_back_without_a_failed_call(bank: Bank) -> None:
    """A held instance gets no call before; the files have the same text again afterwards."""
    stack, before = bank.stack, await config_in_force(bank.stack)
    async with steady_calls(bank) as calls:
        await said(stack, "sandbox", "instance", "start", SERVICE, "--version", "v2", "--held")
        await calls.more()
        assert await received(stack, SECOND) == 0
        await said(stack, "mesh", "canary", "start", SERVICE, "--version", "v2", "--weight", "50")
        await receives_more(stack, SECOND)
        await receives_more(stack, SERVICE)
        shown = json.loads(await said(stack, "mesh", "canary", "status", SERVICE, "--json"))
        assert shown["canary"] == {"stable": "v1", "version": "v2", "weight": 50}
        counted = {each["version"]: each for each in shown["versions"]}
        assert counted["v2"]["calls"] > 0
        assert counted["v2"]["failed"] == 0
        await said(stack, "mesh", "canary", "rollback", SERVICE)
        count = await received(stack, SECOND)
        await calls.more()
        assert await received(stack, SECOND) == count
    assert not calls.failed
    assert await config_in_force(stack) == before


async def test_a_promoted_canary_gets_all_calls_without_a_failed_one(bank: Bank) -> None:
    """The other instance drains, and the weights are gone from the files."""
    stack, before = bank.stack, await config_in_force(bank.stack)
    async with steady_calls(bank) as calls:
        await said(stack, "sandbox", "instance", "start", SERVICE, "--version", "v2")
        steps = ("--steps", "10,100", "--every", "1s")
        await said(stack, "mesh", "canary", "start", SERVICE, "--version", "v2", *steps)
        await said(stack, "mesh", "canary", "promote", SERVICE)
        count = await received(stack, SERVICE)
        await receives_more(stack, SECOND)
        assert await received(stack, SERVICE) == count
        assert await instances(stack) == {f"{SERVICE}-0": "DRAINING", SECOND: "READY"}
        await said(stack, "mesh", "drain", f"{SERVICE}-0", "--undo")
        await calls.more()
    assert not calls.failed
    assert await config_in_force(stack) == before


@pytest.mark.parametrize("stopped", [f"{SECOND}-sidecar", SECOND], ids=["unreachable", "grpc"])
async def test_a_canary_whose_calls_fail_is_rolled_back_by_itself(bank: Bank, stopped: str) -> None:
    """Exit code 5, and the calls succeed again. A failure can also have HTTP status 200."""
    stack, before = bank.stack, await config_in_force(bank.stack)
    await said(stack, "sandbox", "instance", "start", SERVICE, "--version", "v2", "--held")
    stack.stop(stopped)
    async with steady_calls(bank) as calls:
        steps = ("--steps", "50,100", "--every", "60s", "--threshold", "5")
        code, _, err = await run(
            stack, "mesh", "canary", "start", SERVICE, "--version", "v2", *steps
        )
        assert code == 5, err
        assert "Rolled back at 50 %" in err
        failed = len(calls.failed)
        await calls.more()
        assert len(calls.failed) == failed
    assert await config_in_force(stack) == before


async def test_a_canary_of_a_version_without_instance_is_refused(bank: Bank) -> None:
    """Its share of the calls would fail."""
    code, _, err = await run(bank.stack, "mesh", "canary", "start", SERVICE, "--version", "v9")
    assert code == 1
    assert "No instance of customers has version v9" in err


async def test_an_injected_fault_ends_by_itself_although_the_control_plane_was_killed(
    bank: Bank,
) -> None:
    """Only the method of the fault fails meanwhile, and an edit of others stays."""
    stack, before = bank.stack, await config_in_force(bank.stack)
    customer = await bank.customer()

    async def status(path: str) -> int:
        return (await bank.call("GET", path, token=customer.token)).status

    assert await status("/v1/accounts") == 200
    # Long enough for the calls and commands below, also on a busy host.
    fault = ("--method", "ListAccounts", "--abort", "UNAVAILABLE", "--for", f"{scaled_s(15):.0f}s")
    await said(stack, "mesh", "inject", SERVICE, *fault)
    assert await status("/v1/accounts") == 503
    assert await status("/v1/customers/me") == 200
    code, _, err = await run(stack, "mesh", "inject", SERVICE, "--delay", "1s")
    assert code == 1
    assert "stop it first" in err
    pid = stack.nodes()["control-plane"]["pid"]
    stack.kill("control-plane")
    await asyncio.to_thread(stack.wait_ready, "control-plane", not_pid=pid)

    async def ended() -> bool:
        return await status("/v1/accounts") == 200

    await until(ended, 60, "the fault stays")
    assert await config_in_force(stack) == before
    shown = json.loads(await said(stack, "mesh", "history", "--json"))["revisions"]
    assert shown[0]["origin"] == "expiry"


async def test_proxies_use_the_certificates_of_the_files_after_a_renewal(bank: Bank) -> None:
    """Exit code 0 says that each one is in use and does not expire soon."""
    stack = bank.stack
    first = json.loads(await said(stack, "mesh", "cert", "payments", "--json"))["certificates"]
    await asyncio.to_thread(stack.renew_certificates)

    async def in_use() -> dict[str, Any] | None:
        code, out, _ = await run(stack, "mesh", "cert", "payments", "--json")
        return json.loads(out) if code == 0 else None

    after = (await until(in_use, 60, "the new certificate is not in use"))["certificates"]
    own = "spiffe://bp.internal/ns/bp/sa/payments"
    serials = [
        {each["serial"] for each in found if each["certificate"] == own} for found in (first, after)
    ]
    assert serials[0] != serials[1]
    assert (await run(stack, "mesh", "cert", "nobody"))[0] == 1


async def test_a_bug_report_has_no_key_and_no_token(bank: Bank, tmp_path: Path) -> None:
    """It explains the mesh without them."""
    stack, file = bank.stack, tmp_path / "report.tar.gz"
    async with steady_calls(bank) as calls:
        await calls.more(10)
    await said(stack, "mesh", "bug-report", "-o", str(file))
    with tarfile.open(file) as archive:
        parts = {
            each.name.removeprefix("mesh-bug-report/"): archive.extractfile(each).read()  # pyright: ignore[reportOptionalMemberAccess]
            for each in archive.getmembers()
        }
    assert {"state.json", "proxy-status.json", "config/services/customers.yaml"} <= parts.keys()
    assert b"service/customers" in parts["proxies/payments-0/config_dump"]
    assert any(name.startswith("logs/") for name in parts)
    every = b"\n".join(parts.values())
    assert b"PRIVATE KEY" not in every
    assert b"eyJ" not in every
    for secret in secret_lines(stack):
        assert secret not in every, "a secret is in the report"


def secret_lines(stack: RunningStack) -> list[bytes]:
    """Return lines of the private keys, and the tokens of the services."""
    keys = [*stack.home.certs.glob("*/key.pem"), *stack.home.run.glob("*/token")]
    lines = [line for each in keys for line in each.read_bytes().splitlines()]
    return [line for line in lines if len(line) > 40]
