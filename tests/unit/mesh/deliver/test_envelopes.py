"""Discovery messages as bytes: what is read, what is skipped, what nodes share."""

from typing import Any

import pytest

from mesh.controlplane.deliver import envelopes
from mesh.controlplane.deliver.envelopes import Encoder, MalformedRequest, Response, message
from mesh.controlplane.deliver.packed import Kind, pack

ONE = pack(Kind.CLUSTER, "one", b"body one")


def test_a_delta_request_is_read_and_unknown_fields_are_skipped() -> None:
    data = message(
        "DeltaDiscoveryRequest",
        node={"id": "n"},
        type_url=Kind.ROUTES.value,
        resource_names_subscribe=["a", "b"],
        resource_names_unsubscribe=["c"],
        initial_resource_versions=[{"key": "a", "value": "1"}],
        response_nonce="7",
        error_detail={"code": 13, "message": "wrong"},
    ).SerializeToString()
    # Field 200 with the bytes `xyz`, as a newer Envoy may send.
    got = envelopes.delta_request(data + b"\xc2\x0c\x03xyz")
    assert (got.kind, got.node, got.nonce, got.error) == (Kind.ROUTES, "n", "7", "wrong")
    assert (got.subscribe, got.unsubscribe, got.held) == (("a", "b"), ("c",), {"a": "1"})


def test_a_state_of_the_world_request_is_read() -> None:
    data = message(
        "DiscoveryRequest",
        type_url=Kind.CLUSTER.value,
        version_info="4",
        resource_names=["a"],
        error_detail={"code": 3},
    ).SerializeToString()
    got = envelopes.sotw_request(data)
    assert (got.version, got.subscribe, got.error) == ("4", ("a",), "code 3")


@pytest.mark.parametrize("data", [b"\xff\xff", b"", b"\x12\x03abc"])
def test_bytes_that_are_no_request_are_refused(data) -> None:
    for parse in (envelopes.delta_request, envelopes.sotw_request):
        with pytest.raises(MalformedRequest):
            parse(data)


def test_equal_responses_are_built_once_and_differ_only_in_the_nonce() -> None:
    encoder = Encoder()
    first = encoder.delta(Response(Kind.CLUSTER, "1", (ONE,), ("gone",)))
    second = encoder.delta(Response(Kind.CLUSTER, "22", (ONE,), ("gone",)))
    assert encoder.built == 1
    empty: Any = message("DeltaDiscoveryResponse")
    parsed = [empty.FromString(each) for each in (first, second)]
    assert [each.nonce for each in parsed] == ["1", "22"]
    for each in parsed:
        (resource,) = each.resources
        assert (resource.name, resource.version) == ("one", ONE.version)
        assert (resource.resource.type_url, resource.resource.value) == (ONE.kind.value, ONE.body)
        assert list(each.removed_resources) == ["gone"]


def test_the_cache_of_responses_is_bounded_and_keeps_the_last_used() -> None:
    encoder = Encoder(cached_max=2)
    some = [pack(Kind.CLUSTER, f"c{number}", b"x") for number in range(3)]
    for each in (some[0], some[1], some[0], some[2], some[0]):
        encoder.sotw(Response(Kind.CLUSTER, "1", (each,), version="v"))
    assert encoder.built == 3
    encoder.sotw(Response(Kind.CLUSTER, "1", (some[1],), version="v"))
    assert encoder.built == 4
