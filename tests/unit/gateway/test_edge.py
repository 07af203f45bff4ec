"""The edge as derived from the contracts: routes, Lua tables, the transcoder's descriptors."""

import re

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway import edge, lua, replies, transcoding
from services.chassis import contracts


def _match(verb: str, path: str) -> str | None:
    for route in edge.routes(contracts.load()):
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
        ("GET", "/v1/transfers/interbank/1-2:cancel", None),
        ("GET", "/v1/transfers/interbank/1/2", None),
        ("GET", "/v1/transfers/interbank/", None),
        ("GET", "/v1/customers/me", "GetMe"),
        ("POST", "/v1/webhooks/ach", "ReceiveAchWebhook"),
    ],
)
def test_a_path_leads_to_one_method(verb: str, path: str, method: str | None) -> None:
    assert _match(verb, path) == method


def test_internal_methods_have_no_route() -> None:
    assert not [r for r in edge.routes(contracts.load()) if r.method.endswith("/CheckDebit")]


def test_bodies_are_json_raw_or_none() -> None:
    kinds = {r.method.rpartition("/")[2]: r.body for r in edge.routes(contracts.load())}
    assert kinds["CreateInterbankTransfer"] is edge.BodyKind.JSON
    assert kinds["ReceiveAchWebhook"] is edge.BodyKind.RAW
    assert kinds["GetBalance"] is edge.BodyKind.NONE


def test_literals_are_lua() -> None:
    assert lua.literal({"a": [1, True, 'x"\\\n']}) == '{["a"]={1,true,"x\\"\\\\\\n"}}'
    with pytest.raises(TypeError, match="float"):
        lua.literal(1.5)


def test_the_tables_know_both_spellings_and_skip_the_path() -> None:
    source = lua.source(contracts.load())
    assert '["accountId"]={"accountId","string",false}' in source
    assert '["account_id"]={"accountId","string",false}' in source
    assert '["skip"]={["transferId"]=true}' in source


def test_the_transcoder_gets_no_response_body() -> None:
    files = FileDescriptorSet.FromString(transcoding.for_envoy(contracts.default_descriptor_set()))
    rules = [
        method.options.Extensions[annotations_pb2.http]  # pyright: ignore[reportArgumentType]
        for file in files.file
        for service in file.service
        for method in service.method
    ]
    assert not [rule for rule in rules if rule.response_body]
    assert [rule for rule in rules if rule.body == "*"]


def test_every_reply_of_the_edge_has_a_reason_of_the_contract() -> None:
    names = contracts.pool_of(contracts.default_descriptor_set()).FindEnumTypeByName(
        "bp.policy.v1.ErrorReason"
    )
    for reply in (*replies.REPLIES, replies.FALLBACK):
        assert reply.reason in names.values_by_name
        assert reply.http >= 400
