"""Config, contracts and addresses become one model, or are rejected."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from envoy_data_plane.envoy.extensions.filters.http.jwt_authn import v3 as jwt

from gateway.open_bodies import REQUEST_BYTES
from mesh.controlplane import model
from mesh.controlplane.ingest.faults import ConfigFault, Faults
from mesh.controlplane.ingest.values import RetryCondition
from mesh.controlplane.resolve.mesh import resolve
from mesh.controlplane.translate.edge.tokens import jwt_filter, token_rules
from mesh.controlplane.translate.http import retry_policy
from mesh.ctl import CONFIG
from services.auth.revocations_out import MATTERS
from services.chassis.revocations import CLOCKS_S, EXPIRED_S, KEPT_S, TOKEN_LIFE_S
from tests.rigs.mesh.fixed_places import inputs, mesh


def _sidecar(name: str) -> model.Sidecar:
    return next(each for each in mesh().sidecars if each.workload.name == name)


REACH = [
    (
        "payments",
        ["customers"],
        ["ach-network.example", "directory.ach-network.example", "fraud.example"],
    ),
    ("transfers", ["customers"], []),
    ("notifications", ["customers"], ["fcm.googleapis.com", "oauth2.googleapis.com"]),
    ("customers", [], []),
    ("audit", [], []),
    (
        "auth",
        [],
        ["oauth.example", "sms-gateway.example", "rekognition.us-east-1.amazonaws.com"],
    ),
]


@pytest.mark.parametrize(("service", "services", "partners"), REACH)
def test_a_sidecar_knows_only_what_its_service_needs(
    service: str, services: list[str], partners: list[str]
) -> None:
    sidecar = _sidecar(service)
    assert [each.name for each in sidecar.services] == services
    assert [each.host for each in sidecar.partners] == partners


def test_grants_follow_the_contracts() -> None:
    grants = {each.path: each.principals for each in _sidecar("customers").grants}
    sa = "spiffe://bp.internal/ns/bp/sa/"
    assert grants["/bp.customers.v1.CustomersService/CheckDebit"] == (
        f"{sa}payments",
        f"{sa}transfers",
    )
    assert grants["/bp.customers.v1.CustomersService/GetBalance"] == (f"{sa}gateway",)


TABLE = [
    ("ach-network.example", 30_000, 3, 5, 60_000),
    ("fraud.example", 5_000, 1, 10, 120_000),
    ("fcm.googleapis.com", 10_000, 2, 10, 30_000),
    ("oauth.example", 5_000, 2, 3, 30_000),
    ("sms-gateway.example", 5_000, 2, 5, 60_000),
]


@pytest.mark.parametrize(("host", "timeout", "retries", "failures", "open_ms"), TABLE)
def test_partners_have_the_policy_of_the_design_documents_table(
    host: str, timeout: int, retries: int, failures: int, open_ms: int
) -> None:
    made = mesh()
    partners = [p for each in (*made.sidecars, made.edge) for p in each.partners]
    traffic = next(each.traffic for each in partners if each.host == host)
    assert traffic.retry
    assert traffic.breaker
    assert (traffic.timeout_ms, traffic.retry.attempts) == (timeout, retries)
    assert (traffic.breaker.failures, traffic.breaker.open_ms) == (failures, open_ms)


def test_the_gateway_asks_for_the_issuers_keys_sooner_than_the_table_says() -> None:
    """Without keys no customer is served, so the breaker opens for one second instead of 30."""
    (issuer,) = mesh().edge.partners
    assert issuer.traffic.breaker
    assert (issuer.host, issuer.traffic.breaker.open_ms) == ("oauth.example", 1_000)


def test_services_remember_an_ended_session_as_long_as_the_gateway_accepts_its_token() -> None:
    rules = token_rules(mesh().edge.issuer)
    assert (rules.lifetime_s, rules.skew_s) == (TOKEN_LIFE_S + CLOCKS_S, EXPIRED_S)
    assert rules.lifetime_s + rules.skew_s == KEPT_S == MATTERS.total_seconds()


def test_only_the_sdk_retries_calls_to_rekognition() -> None:
    host = "rekognition.us-east-1.amazonaws.com"
    (partner,) = [each for each in _sidecar("auth").partners if each.host == host]
    breaker = partner.traffic.breaker
    assert breaker
    assert (partner.traffic.timeout_ms, partner.traffic.retry) == (10_000, None)
    assert (breaker.failures, breaker.open_ms) == (5, 30_000)


def test_every_retry_condition_reaches_envoy_under_its_own_name(tmp_path: Path) -> None:
    conditions = ",".join(get_args(RetryCondition))
    bank_has = "connect-failure,refused-stream,reset,cancelled"
    made = resolve(inputs(_edited(tmp_path, "services/customers.yaml", bank_has, conditions)))
    (customers,) = [each for each in made.edge.services if each.name == "customers"]
    policy = retry_policy(customers.traffic.retry)
    assert policy
    assert policy.retry_on == conditions


def test_only_the_clearing_house_sees_the_banks_client_certificate() -> None:
    shown = [each.host for each in _sidecar("payments").partners if each.client]
    assert shown == ["ach-network.example", "directory.ach-network.example"]


def _edited(tmp_path: Path, file: str, old: str, new: str) -> Path:
    config = tmp_path / "config"
    shutil.copytree(CONFIG, config)
    text = (config / file).read_text()
    assert old in text
    (config / file).write_text(text.replace(old, new))
    return config


EDITS = [
    (
        "sidecars.yaml",
        "./fraud.example",
        "./frod.example",
        ConfigFault,
        "has no ServiceEntry",
    ),
    ("sidecars.yaml", "./customers.bp", "./custmers.bp", Faults, "not a service"),
    ("sidecars.yaml", "./fraud.example", "./*.example", ConfigFault, "name one host"),
    ("partners/fraud.yaml", "host: fraud.example", "host: frod.example", Faults, "is unknown"),
    ("partners/fraud.yaml", "app: payments", "app: audit", ConfigFault, "Rule, but has 0"),
    (
        "partners/fraud.yaml",
        "mode: SIMPLE",
        "mode: MUTUAL",
        ConfigFault,
        "needs tls mode SIMPLE: it has no client certificate",
    ),
    (
        "partners/fraud.yaml",
        "credentialName: fraud",
        "credentialName: fraude",
        ConfigFault,
        "lacks the files of credentialName fraude",
    ),
    (
        "partners/fraud.yaml",
        "credentialName: fraud",
        "credentialName: oauth",
        Faults,
        "give each partner one",
    ),
    (
        "partners/ach-network.yaml",
        "mode: MUTUAL",
        "mode: SIMPLE",
        ConfigFault,
        "needs tls mode MUT",
    ),
    ("services/customers.yaml", "ISTIO_MUTUAL", "SIMPLE", ConfigFault, "yaml:8: set ISTIO_MUTUAL"),
    ("mesh.yaml", "kind: PeerAuthentication", "kind: Peer", ConfigFault, "not supported"),
    ("gateway.yaml", "WRITE:", "READS:", ConfigFault, "READS"),
    (
        "gateway.yaml",
        "spiffe://ach-network.example/webhooks",
        "",
        ConfigFault,
        "principals.0: String should match",
    ),
    ("partners/ach-network.yaml", "timeout: 30s", "timeout: 46s", ConfigFault, "set at most 45s"),
    ("gateway.yaml", "heapMiB: 1024", "heapMiB: 640", ConfigFault, "must be less than heapMiB"),
    ("gateway.yaml", "perAddressKiB: 2048", "perAddressKiB: 35", ConfigFault, "set at least 36"),
    ("gateway.yaml", "perSiteKiB: 16384", "perSiteKiB: 35", ConfigFault, "set at least 36"),
    ("gateway.yaml", "totalKiB: 393216", "totalKiB: 2075", ConfigFault, "set at least 2076"),
    ("gateway.yaml", "requestTimeout: 15s", "requestTimeout: 16s", ConfigFault, "at most 15s"),
    (
        "partners/oauth.yaml",
        "timeout: 5s",
        "timeout: 6s",
        ConfigFault,
        "oauth.yaml:22:.*timeout",
    ),
    ("partners/oauth.yaml", "5xx,reset", "reset", ConfigFault, "oauth.yaml:27:.*set 5xx"),
    ("partners/oauth.yaml", "5xx,reset", "5xx,retriable-4xx", ConfigFault, "nothing else"),
    ("partners/oauth.yaml", "backoff: 250ms", "backoff: 2s", ConfigFault, "not shorter"),
    (
        "gateway.yaml",
        "name: ach-network",
        "name: ach",
        Faults,
        "gateway.yaml:89: .*: add the partner ach-network to EdgePolicy",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "kind", "problem"), EDITS)
def test_an_inconsistent_configuration_is_refused(
    tmp_path: Path, file: str, old: str, new: str, kind: type[Exception], problem: str
) -> None:
    config = _edited(tmp_path, file, old, new)
    with pytest.raises(kind, match=problem):
        resolve(inputs(config))


def test_an_address_has_as_many_slow_bodies_as_the_documentation_says() -> None:
    """docs/login.md: 56 bodies of 8 KiB; 16 MiB are enough for seven pictures of 2 MiB."""
    edge = mesh().edge
    largest = max(each.body_bytes_max for each in edge.routes)
    assert edge.open_small.address // (REQUEST_BYTES + edge.limits.public_body_bytes) == 56
    assert edge.open_large.address // (REQUEST_BYTES + largest) == 7
    for pool in (edge.open_small, edge.open_large):
        assert pool.address < pool.site < pool.total


def test_the_issuers_traffic_policy_applies_to_the_fetch_of_its_keys() -> None:
    """The fetch passes through no route, so the filter itself has to have the policy."""
    made = mesh()
    packed = jwt_filter(made.edge).typed_config
    assert packed
    config = jwt.JwtAuthentication.parse(packed.value)
    keys = config.providers["oauth"].remote_jwks
    assert keys
    assert keys.retry_policy
    assert keys.retry_policy.retry_back_off
    assert keys.retry_policy.num_retries == 2
    back_off = keys.retry_policy.retry_back_off
    assert (back_off.base_interval, back_off.max_interval) == (
        timedelta(milliseconds=250),
        timedelta(milliseconds=1500),
    )


def test_a_mesh_without_peer_authentication_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "config"
    shutil.copytree(CONFIG, config)
    (config / "mesh.yaml").unlink()
    with pytest.raises(Faults, match="exactly one PeerAuthentication"):
        resolve(inputs(config))


def test_a_partner_without_an_address_is_refused() -> None:
    with pytest.raises(ConfigFault, match="the endpoints file lacks its address"):
        resolve(inputs(without="fraud.example"))
