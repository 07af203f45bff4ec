"""The rules of the xDS protocol, one at a time."""

import pytest

from mesh.controlplane.deliver.envelopes import Request, Response
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, Packed, pack, snapshot
from mesh.controlplane.deliver.protocol import _TABLE, Event, Form, Phase, Stream
from mesh.controlplane.deliver.refusals import NodeMemory


def cluster(name: str, number: int = 1) -> Packed:
    """Return a cluster with its endpoints' name."""
    return pack(Kind.CLUSTER, name, f"{name} {number}".encode(), [(Kind.ENDPOINTS, name)])


def endpoints(name: str) -> Packed:
    """Return endpoints."""
    return pack(Kind.ENDPOINTS, name, f"endpoints {name}".encode())


def having(*clusters: str, number: int = 1) -> NodeSnapshot:
    """Return a snapshot of clusters and their endpoints."""
    some = [part for name in clusters for part in (cluster(name, number), endpoints(name))]
    return snapshot("n", some)


def stream(published: NodeSnapshot, form: Form = Form.DELTA) -> Stream:
    """Return a stream that has a snapshot."""
    made = Stream(NodeMemory(), form)
    assert made.publish(published) == []
    return made


def ask(made: Stream, kind: Kind, *names: str, **more) -> list[Response]:
    """Subscribe to names."""
    return made.request(Request(kind, subscribe=names, **more))


def names(responses: list[Response]) -> list[tuple[list[str], list[str]]]:
    """Return the names that each response has and removes."""
    return [([e.name for e in each.resources], list(each.removed)) for each in responses]


def answer(made: Stream, response: Response, error: str | None = None, **more) -> list[Response]:
    """Acknowledge a response, or refuse it."""
    return made.request(Request(response.kind, nonce=response.nonce, error=error, **more))


@pytest.mark.parametrize("names_asked", [(), ("*",)])
def test_no_name_or_a_star_subscribes_to_all_clusters(names_asked) -> None:
    made = stream(having("a", "b"))
    assert names(ask(made, Kind.CLUSTER, *names_asked)) == [(["a", "b"], [])]


def test_no_name_subscribes_to_no_endpoints() -> None:
    assert ask(stream(having("a")), Kind.ENDPOINTS) == []


def test_a_wildcard_without_resources_is_answered_so_that_the_client_need_not_wait() -> None:
    made = stream(having())
    assert names(ask(made, Kind.LISTENER)) == [([], [])]


def test_an_unknown_name_is_answered_as_removed() -> None:
    made = stream(having("a"))
    assert names(ask(made, Kind.ENDPOINTS, "a", "none")) == [(["a"], ["none"])]


def test_a_name_that_is_asked_for_again_is_sent_again() -> None:
    made = stream(having("a"))
    answer(made, ask(made, Kind.ENDPOINTS, "a")[0])
    assert names(ask(made, Kind.ENDPOINTS, "a")) == [(["a"], [])]


def test_a_dropped_name_is_neither_sent_nor_removed() -> None:
    made = stream(having("a", "b"))
    answer(made, ask(made, Kind.ENDPOINTS, "a", "b")[0])
    assert made.request(Request(Kind.ENDPOINTS, unsubscribe=("a",))) == []
    assert names(made.publish(having("b"))) == []


def test_a_name_that_is_dropped_under_the_wildcard_is_sent_again() -> None:
    made = stream(having("a"))
    answer(made, ask(made, Kind.CLUSTER, "*", "a")[0])
    assert names(made.request(Request(Kind.CLUSTER, unsubscribe=("a",)))) == [(["a"], [])]


def test_after_the_wildcard_is_dropped_only_names_are_sent() -> None:
    made = stream(having("a"))
    answer(made, ask(made, Kind.CLUSTER, "*", "a")[0])
    made.request(Request(Kind.CLUSTER, unsubscribe=("*",)))
    assert names(made.publish(having("a", "b", number=2))) == [(["a"], [])]


def test_the_wildcard_of_an_empty_first_request_stays_when_names_are_added() -> None:
    made = stream(having("a"))
    answer(made, ask(made, Kind.CLUSTER)[0])
    answer(made, ask(made, Kind.CLUSTER, "a")[0])
    assert names(made.publish(having("a", "b"))) == [(["b"], [])]


def test_a_reconnected_client_gets_only_what_differs() -> None:
    made = stream(having("a", "b", "c"))
    held = {"a": cluster("a").version, "b": "old", "gone": "old"}
    ask(made, Kind.LISTENER)
    (response,) = ask(made, Kind.CLUSTER, held=held)
    assert names([response]) == [(["b", "c"], ["gone"])]


def test_a_reconnected_client_that_has_everything_gets_nothing() -> None:
    made = stream(having("a"))
    assert ask(made, Kind.CLUSTER, held={"a": cluster("a").version}) == []


def test_one_response_is_outstanding_and_later_changes_are_merged() -> None:
    made = stream(having("a"))
    (first,) = ask(made, Kind.CLUSTER)
    assert made.publish(having("a", "b")) == []
    assert made.publish(having("a", "b", "c", number=2)) == []
    assert names(answer(made, first)) == [(["a", "b", "c"], [])]


def test_the_answer_to_another_response_changes_nothing() -> None:
    made = stream(having("a"))
    (first,) = ask(made, Kind.CLUSTER)
    for error in (None, "refused"):
        assert made.request(Request(Kind.CLUSTER, nonce="other", error=error)) == []
    assert made.publish(having("a", number=2)) == []
    assert names(answer(made, first)) == [(["a"], [])]


def test_a_state_of_the_world_client_gets_all_resources_each_time() -> None:
    made = stream(having("a", "b"), Form.SOTW)
    (first,) = ask(made, Kind.CLUSTER)
    assert names([first]) == [(["a", "b"], [])]
    assert answer(made, first) == []
    changed = snapshot("n", [cluster("a"), cluster("b", 2), endpoints("a"), endpoints("b")])
    (second,) = made.publish(changed)
    assert names([second]) == [(["a", "b"], [])]
    assert second.version != first.version


def test_a_reconnected_state_of_the_world_client_with_this_version_gets_nothing() -> None:
    published = having("a", "b")
    (first,) = ask(stream(published, Form.SOTW), Kind.CLUSTER)
    assert ask(stream(published, Form.SOTW), Kind.CLUSTER, version=first.version) == []
    assert ask(stream(having("a"), Form.SOTW), Kind.CLUSTER, version=first.version) != []


def test_a_state_of_the_world_client_with_names_has_no_wildcard_without_them() -> None:
    made = stream(having("a"), Form.SOTW)
    (first,) = ask(made, Kind.CLUSTER, "a")
    assert answer(made, first) == []
    assert made.publish(having("a", "b", number=2)) == []


def test_endpoints_are_repeated_after_their_cluster_has_changed() -> None:
    made = stream(having("a"))
    answer(made, ask(made, Kind.CLUSTER)[0])
    answer(made, ask(made, Kind.ENDPOINTS, "a")[0])
    changed = made.publish(having("a", number=2))
    assert [each.kind for each in changed] == [Kind.CLUSTER, Kind.ENDPOINTS]


def test_one_refused_resource_among_several_is_found_and_never_sent_again() -> None:
    made = stream(having())
    answer(made, ask(made, Kind.CLUSTER)[0])
    pending = made.publish(having(*"abcdefgh"))
    sent: list[list[str]] = []
    while pending:
        (response,) = pending
        got = [each.name for each in response.resources]
        sent.append(got)
        # The node's text names no resource.
        pending = answer(made, response, "refused" if "f" in got else None)
    assert sum(got == ["f"] for got in sent) == 1
    assert made.channels[Kind.CLUSTER].acked.keys() == set("abcdegh")
    assert len(sent) <= 8
    more = made.publish(having(*"abcdefghi"))
    assert names(more) == [(["i"], [])]


def test_a_refusal_that_names_the_resource_takes_one_more_response_for_each_group() -> None:
    made = stream(having())
    answer(made, ask(made, Kind.CLUSTER)[0])
    (first,) = made.publish(having(*(f"cluster-{number}" for number in range(10, 60))))
    (second,) = answer(made, first, "Error adding cluster(s) cluster-33: wrong")
    assert names([second]) == [(["cluster-33"], [])]
    (third,) = answer(made, second, "Error adding cluster(s) cluster-33: wrong")
    assert len(third.resources) == 49
    assert answer(made, third) == []


def test_a_node_that_refuses_everything_is_left_in_peace() -> None:
    made = stream(having(*"abcdefgh"))
    pending, count = ask(made, Kind.CLUSTER), 0
    while pending:
        pending = answer(made, pending[0], "no")
        count += 1
    assert count <= 16
    assert made.publish(having(*"abcdefgh")) == []


def test_a_name_that_was_dropped_meanwhile_is_not_taken_for_the_refused_one() -> None:
    made = stream(having("a", "b"))
    (first,) = ask(made, Kind.ENDPOINTS, "a", "b")
    made.request(Request(Kind.ENDPOINTS, unsubscribe=("b",)))
    # The text may mean `b`; so `a` is sent alone before it counts as refused.
    (second,) = answer(made, first, "refused")
    assert names([second]) == [(["a"], [])]
    assert answer(made, second) == []


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", Event)
def test_each_event_has_a_step_exactly_where_it_can_happen(phase, event) -> None:
    possible = {
        Phase.NEW: {Event.FIRST},
        Phase.IDLE: {Event.CHANGE, Event.STALE},
        Phase.WAITING: {Event.CHANGE, Event.ACK, Event.NACK, Event.STALE},
    }
    assert ((phase, event) in _TABLE) == (event in possible[phase])
