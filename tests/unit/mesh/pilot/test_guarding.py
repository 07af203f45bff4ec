"""Which edits in place ask for live calls, and what the end of a limited change would deny."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mesh.controlplane import model
from mesh.controlplane.deliver.nodes import Translation
from mesh.pilot.compiling import Compiled
from mesh.pilot.expirer import Expirer
from mesh.pilot.expiring import Expiring
from mesh.pilot.findings import Finding, Refused
from mesh.pilot.guarding import harm, may_deny
from mesh.pilot.pilot import Approve
from tests.rigs.mesh.fixed_places import mesh, passed_on
from tests.rigs.mesh.pilot_bank import Bank
from tests.unit.mesh.pilot.test_expiring import APPLY, FAULTY, PLAIN, Clock, fault
from tests.unit.mesh.pilot.test_rehearsing import CHECK, MESH, denying, with_sidecar

Change = Callable[[model.Sidecar], model.Sidecar]


def compiled(of: model.Mesh) -> Compiled:
    """Return a mesh with its resources."""
    return Compiled(of, passed_on(), Translation().node_snapshots(of, passed_on()))


def slower(each: model.Sidecar) -> model.Sidecar:
    """Return a sidecar whose calls to services have other timeouts."""
    traffic = [replace(one.traffic, timeout_ms=1234) for one in each.services]
    services = zip(each.services, traffic, strict=True)
    return replace(each, services=tuple(replace(one, traffic=new) for one, new in services))


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        (slower, False),
        (lambda each: replace(each, policies=(denying(CHECK),)), True),
        (lambda each: replace(each, services=each.services[1:]), True),
        (lambda each: replace(each, partners=each.partners[1:]), True),
        (lambda each: replace(each, grants=each.grants[1:]), True),
    ],
)
def test_only_an_edit_that_may_deny_asks_the_proxies_for_calls(change: Change, asked: bool) -> None:
    """An edit in place of a timeout must not wait for them: one of them may hang."""
    before = compiled(MESH)
    after = compiled(with_sidecar("payments", change))
    assert before.mesh != after.mesh
    assert may_deny(before, after) == asked


def test_an_edit_of_the_gateway_that_may_deny_asks_the_proxies_for_calls() -> None:
    """The certificates of partners, and its token filter, which has the issuer's keys."""
    before = compiled(MESH)
    none = tuple((name, ()) for name, _ in MESH.edge.partner_principals)
    unknown = replace(MESH, edge=replace(MESH.edge, partner_principals=none))
    assert may_deny(before, compiled(unknown))
    assert not may_deny(before, compiled(mesh()))


def refusing(_: Compiled, __: Compiled) -> None:
    """Refuse as the rehearsal does."""
    raise Refused([Finding("", 0, "3 live calls would be denied"), Finding("", 0, "Use --force.")])


def losing_keys(_: Compiled, __: Compiled) -> None:
    """Refuse as the rehearsal does while the token issuer is down."""
    raise ValueError("the gateway loses its keys")


def test_harm_is_what_an_application_would_be_refused_for() -> None:
    """Without the advice to use --force: an end of a limited change has none."""
    one = compiled(MESH)
    assert harm(refusing, one, one) == ["3 live calls would be denied"]
    assert harm(losing_keys, one, one) == ["the gateway loses its keys"]
    assert harm(lambda *_: None, one, one) == []


async def test_the_end_of_a_limited_change_goes_ahead_and_logs_what_it_denies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bank = Bank(tmp_path)
    pilot = bank.pilot()

    async def guard() -> Approve:
        return refusing

    expirer = Expirer(pilot, Expiring(bank.places.expiring), Clock(), guard=guard)
    expirer.add(fault(until_s=99.0))
    await pilot.apply(FAULTY, APPLY)
    with caplog.at_level(logging.WARNING, "control-plane"):
        made = await expirer.remove("inject-customers", "ana", "stop")
    assert made is not None
    assert pilot.content == PLAIN
    assert "although: 3 live calls would be denied" in caplog.text
