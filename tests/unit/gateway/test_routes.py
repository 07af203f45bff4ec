"""The routes of the gateway, as derived from the contracts."""

import re

import pytest

from gateway.routes import BodyKind, gateway_routes
from services import contracts


def _match(verb: str, path: str) -> str | None:
    for route in gateway_routes(contracts.load()):
        pattern = route.regex or re.escape(route.template)
        if route.verb == verb and re.fullmatch(pattern, path):
            return route.method.rpartition("/")[2]
    return None


@pytest.mark.parametrize(
    ("verb", "path", "method"),
    [
        ("POST", "/v1/transfers/interbank", "CreateInterbankTransfer"),
        ("GET", "/v1/transfers/interbank", "ListInterbankTransfers"),
        ("GET", "/v1/transfers/interbank/1-2", "GetInterbankTransfer"),
        ("POST", "/v1/transfers/interbank/1-2:cancel", "CancelInterbankTransfer"),
        ("POST", "/v1/transfers/interbank/1-2%3Acancel", "CancelInterbankTransfer"),
        ("POST", "/v1/transfers/interbank/1-2%3acancel", "CancelInterbankTransfer"),
        ("POST", "/v1/transfers/interbank/%31%3cancel%3acancel", "CancelInterbankTransfer"),
        ("GET", "/v1/transfers/interbank/1-2:cancel", None),
        ("GET", "/v1/transfers/interbank/1-2%3acancel", None),
        ("GET", "/v1/transfers/interbank/%31%2d2", "GetInterbankTransfer"),
        ("GET", "/v1/transfers/interbank/1/2", None),
        ("GET", "/v1/transfers/interbank/", None),
        ("GET", "/v1/customers/me", "GetMe"),
        ("GET", "/v1/accounts", "ListAccounts"),
        ("GET", "/v1/accounts/1-2/entries", "ListEntries"),
        ("POST", "/v1/webhooks/ach", "ReceiveAchWebhook"),
    ],
)
def test_a_path_leads_to_one_method(verb: str, path: str, method: str | None) -> None:
    assert _match(verb, path) == method


def test_internal_methods_have_no_route() -> None:
    assert not [r for r in gateway_routes(contracts.load()) if r.method.endswith("/CheckDebit")]


def test_bodies_are_json_raw_or_none() -> None:
    kinds = {r.method.rpartition("/")[2]: r.body for r in gateway_routes(contracts.load())}
    assert kinds["CreateInterbankTransfer"] is BodyKind.JSON
    assert kinds["ReceiveAchWebhook"] is BodyKind.RAW
    assert kinds["GetBalance"] is BodyKind.NONE
