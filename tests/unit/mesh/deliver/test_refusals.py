"""What a node gets in place of what it refuses: always consistent."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from mesh.controlplane.deliver.order import Resources
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, Packed, Reference, pack, snapshot
from mesh.controlplane.deliver.refusals import NodeMemory

A, B = (Kind.CLUSTER, "a"), (Kind.CLUSTER, "b")


def part(reference: Reference, number: int, *uses: Reference) -> Packed:
    """Return a resource."""
    kind, name = reference
    return pack(kind, name, f"{kind} {name} {number} {sorted(map(str, uses))}".encode(), uses)


ROUTES: Reference = (Kind.ROUTES, "r")


def effective(new: NodeSnapshot, old: Iterable[Packed], *refused: Packed) -> Resources:
    """Return what a node gets that has the old resources and refuses some."""
    memory = NodeMemory()
    for each in refused:
        memory.refuse(each.kind, each.name, each.version, "no")
    acked = {(each.kind, each.name): each for each in old}
    return memory.effective(new, lambda kind, name: acked.get((kind, name)))


def flat(resources: Resources) -> set[Packed]:
    """Return all resources."""
    return {each for named in resources.values() for each in named.values()}


def test_without_refusals_the_snapshot_itself_is_sent() -> None:
    new = snapshot("n", [part(A, 1)])
    assert effective(new, []) is new.resources


def test_the_last_good_version_takes_the_place_of_the_refused_one() -> None:
    old, bad = part(A, 1), part(A, 2)
    assert flat(effective(snapshot("n", [bad]), [old], bad)) == {old}


def test_a_new_resource_is_left_out_with_the_listener_that_needs_it() -> None:
    listener: Reference = (Kind.LISTENER, "l")
    bad, other = part((Kind.EXTENSION, "e"), 1), part(B, 1)
    needs = part(listener, 1, (Kind.EXTENSION, "e"))
    assert flat(effective(snapshot("n", [bad, needs, other]), [], bad)) == {other}


def test_routes_to_a_refused_new_cluster_stay_because_without_them_all_calls_would_fail() -> None:
    bad, other = part(A, 1), part(B, 1)
    routes = part(ROUTES, 1, A, B)
    listener = part((Kind.LISTENER, "l"), 1, ROUTES)
    for acked in ([], [routes, listener]):
        got = effective(snapshot("n", [bad, routes, listener, other]), acked, bad)
        assert flat(got) == {routes, listener, other}


def test_a_refused_secret_takes_only_itself_away() -> None:
    secret: Reference = (Kind.SECRET, "s")
    bad, cluster = part(secret, 1), part(A, 1, secret)
    routes = part(ROUTES, 1, A)
    listener = part((Kind.LISTENER, "l"), 1, ROUTES)
    got = effective(snapshot("n", [bad, cluster, routes, listener]), [cluster], bad)
    assert flat(got) == {cluster, routes, listener}


def test_what_names_a_left_out_resource_falls_back_too() -> None:
    bad, routes = part(A, 1), part(ROUTES, 2, A, B)
    other, before = part(B, 1), part(ROUTES, 1, B)
    new = snapshot("n", [bad, routes, other])
    assert flat(effective(new, [before, other], bad)) == {before, other}


def test_the_last_good_version_keeps_what_it_names() -> None:
    old, routes, bad = part(A, 1), part(ROUTES, 1, A), part(ROUTES, 2, B)
    new = snapshot("n", [bad, part(B, 1)])
    assert flat(effective(new, [old, routes], bad)) == {old, routes, part(B, 1)}


def test_a_cluster_that_comes_back_brings_its_endpoints() -> None:
    endpoints: Reference = (Kind.ENDPOINTS, "a")
    old, its = part(A, 1, endpoints), part(endpoints, 1)
    routes, bad = part(ROUTES, 1, A), part(ROUTES, 2, B)
    got = effective(snapshot("n", [bad, part(B, 1)]), [old, its, routes], bad)
    assert flat(got) == {old, its, routes, part(B, 1)}


def test_a_refused_last_good_version_is_not_sent() -> None:
    old, bad = part(A, 1), part(A, 2)
    assert flat(effective(snapshot("n", [bad]), [old], bad, old)) == set()


VERSIONS = st.integers(1, 3)
KEYS: list[Reference] = [A, B, (Kind.ENDPOINTS, "a"), (Kind.SECRET, "s")]


@st.composite
def worlds(draw: st.DrawFn) -> list[Packed]:
    """Draw a consistent set of resources."""
    there = draw(st.sets(st.sampled_from(KEYS)))
    made = [part(each, draw(VERSIONS)) for each in sorted(there, key=str)]
    if draw(st.booleans()):
        some = sorted(draw(st.sets(st.sampled_from(KEYS))) & there, key=str)
        made.append(part(ROUTES, draw(VERSIONS), *some))
        made.append(part((Kind.LISTENER, "l"), draw(VERSIONS), ROUTES))
    return made


@given(worlds(), worlds(), st.randoms(use_true_random=False))
def test_the_result_is_consistent_and_has_nothing_refused(new, old, random) -> None:
    every = [*new, *old]
    refused = random.sample(every, random.randint(0, len(every)))
    got = effective(snapshot("n", new), old, *refused)
    for each in flat(got):
        assert each.version not in {one.version for one in refused}
        for kind, name in each.uses:
            spared = kind in (Kind.SECRET, Kind.ENDPOINTS) or each.kind is Kind.ROUTES
            assert name in got[kind] or spared
    # Nothing is left out without a reason.
    if not {each.version for each in new} & {each.version for each in refused}:
        assert flat(got) == set(new)
