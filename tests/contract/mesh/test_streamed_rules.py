"""Routes, instances and policies of SREs in real proxies that get them by streams."""

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mesh import ctl
from ops.waiting import until
from tests.rigs.mesh.gateway import Gateway, open_gateway
from tests.rigs.mesh.proxies import identity
from tests.rigs.mesh.streamed import StreamedRig

BALANCE = "/v1/balances/0190a8a0-0000-7000-8000-000000000007"
GET_BALANCE = "/bp.customers.v1.CustomersService/GetBalance"
CUSTOMERS = "services/customers.yaml"
ROUTE = "    - route: [{destination: {host: customers.bp.svc.cluster.local}}]\n"
FAULT = "      fault: {{abort: {{httpStatus: 503, percentage: {{value: {share}}}}}}}\n"
POLICY = """apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: no-balances, namespace: bp{annotations}}}
spec:
  selector: {{matchLabels: {{app: customers}}}}
  action: DENY
  rules:
    - from: [{{source: {{principals: ["bp.internal/ns/bp/sa/gateway"]}}}}]
      to: [{{operation: {{paths: ["{path}"]}}}}]
"""
DRY = ', annotations: {istio.io/dry-run: "true"}'


@dataclass
class Rules:
    """The running proxies and the folder of their configuration."""

    gateway: Gateway
    rig: StreamedRig
    config: Path

    async def apply(self) -> None:
        """Publish the folder, and wait until every proxy has it."""
        nodes = self.rig.nodes(self.config)
        self.rig.publish(nodes)
        await self.rig.synced(nodes)

    async def replace(self, file: str, old: str, new: str) -> None:
        """Change a file and apply it."""
        path = self.config / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        await self.apply()

    async def balance(self) -> int:
        """Read a balance; return the status."""
        return (await self.gateway.call("GET", BALANCE)).status

    async def counted(self, proxy: str, part: str) -> int:
        """Return the sum of a proxy's counters whose names contain a text."""
        return sum((await self.rig.stats(proxy, part)).values())

    def place(self, **customers: Any) -> None:
        """Change the addresses of customers."""
        places = self.rig.home / "mesh" / "endpoints.json"
        known = json.loads(places.read_text())
        known["services"]["customers"] |= customers
        known["services"]["customers"].pop("mtls", None)
        places.write_text(json.dumps(known))


@pytest.fixture(scope="module")
async def rules() -> AsyncIterator[Rules]:
    """Return the running proxies."""
    async with open_gateway(streamed=True) as gateway:
        rig = gateway.rig
        assert isinstance(rig, StreamedRig)
        config = rig.home / "config"
        shutil.copytree(ctl.CONFIG, config)
        yield Rules(gateway, rig, config)


async def test_an_injected_fault_comes_and_goes_without_a_new_listener(rules: Rules) -> None:
    assert await rules.balance() == 200
    before = rules.gateway.seen.calls
    await rules.replace(CUSTOMERS, ROUTE, ROUTE + FAULT.format(share=100))
    answer = await rules.gateway.call("GET", BALANCE)
    assert (answer.status, rules.gateway.seen.calls) == (503, before)
    assert answer.reason
    await rules.replace(CUSTOMERS, FAULT.format(share=100), "")
    assert await rules.balance() == 200
    assert await rules.counted("gateway", "listener_manager.listener_modified") == 0


async def test_a_dry_run_counts_and_a_denial_denies(rules: Rules) -> None:
    file = rules.config / "policies.yaml"
    file.write_text(POLICY.format(annotations=DRY, path=GET_BALANCE))
    await rules.apply()
    assert await rules.balance() == 200
    assert await rules.counted("customers", "shadow_denied") > 0
    file.write_text(POLICY.format(annotations="", path=GET_BALANCE))
    await rules.apply()
    assert await rules.balance() == 403
    file.unlink()
    await rules.apply()
    assert await rules.balance() == 200
    assert await rules.counted("customers", "listener_manager.listener_modified") == 0


async def test_a_draining_instance_gets_no_new_calls(rules: Rules) -> None:
    """The other instance has no server, so a call to it would fail."""
    real = f"127.0.0.1:{rules.rig.mtls['customers']}"
    gone = f"127.0.0.1:{rules.rig.mtls['notifications']}"
    both = [{"address": real}, {"address": gone, "state": "DRAINING"}]
    rules.place(instances=both)
    await rules.apply()
    tried = "cluster.service/customers.upstream_cx_connect_fail"
    assert [await rules.balance() for _ in range(10)] == [200] * 10
    assert (await rules.rig.stats("gateway", tried))[tried] == 0
    rules.place(instances=[{"address": real}, {"address": gone}])
    await rules.apply()

    async def tried_both() -> bool:
        # A failure to connect is retried at the other instance.
        assert await rules.balance() == 200
        return (await rules.rig.stats("gateway", tried))[tried] > 0

    await until(tried_both, 30, "the gateway tries both instances")
    rules.place(instances=[{"address": real}])
    await rules.apply()


async def test_calls_are_counted_by_caller_method_and_outcome(rules: Rules) -> None:
    name = f"calls.total.caller.{identity('gateway')}.method.{GET_BALANCE}.outcome.200/0"
    before = (await rules.rig.stats("customers", "calls.total")).get(name, 0)
    assert await rules.balance() == 200

    async def counted() -> bool:
        return (await rules.rig.stats("customers", "calls.total"))[name] == before + 1

    await until(counted, 10, "the call is counted")
