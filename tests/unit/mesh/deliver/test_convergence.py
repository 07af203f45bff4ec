"""Random snapshots, refusals and reconnections, against a model of Envoy: it always converges."""

from collections import deque
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.controlplane.deliver.envelopes import Response
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, Packed, pack, snapshot
from mesh.controlplane.deliver.protocol import Form, Stream
from mesh.controlplane.deliver.refusals import NodeMemory
from tests.rigs.mesh.ads_model import ModelEnvoy, ModelSotwEnvoy

NAMES = ("a", "b", "c")
STEPS_MAX = 2_000
EXAMPLES = 100
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)


def made(kind: Kind, name: str, number: int, uses: list[tuple[Kind, str]]) -> Packed:
    """Return a resource whose bytes say what it is and what it names."""
    text = f"{kind.name} {name} {number} {sorted((k.name, n) for k, n in uses)}"
    return pack(kind, name, text.encode(), uses)


@st.composite
def snapshots(draw: st.DrawFn) -> NodeSnapshot:
    """Draw a consistent snapshot: clusters, and listeners and routes that name some of them."""
    number = st.integers(1, 2)
    parts: dict[tuple[Kind, str], Packed] = {}

    def add(kind: Kind, name: str, uses: list[tuple[Kind, str]]) -> tuple[Kind, str]:
        parts.setdefault((kind, name), made(kind, name, draw(number), uses))
        return kind, name

    clusters = draw(st.sets(st.sampled_from(NAMES)))
    for name in sorted(clusters):
        uses = [add(Kind.ENDPOINTS, draw(st.sampled_from([name, "shared"])), [])]
        if draw(st.booleans()):
            uses.append(add(Kind.SECRET, draw(st.sampled_from(["own", "root"])), []))
        add(Kind.CLUSTER, name, uses)
    some = st.sets(st.sampled_from(sorted(clusters))) if clusters else st.just(set[str]())
    for name in sorted(draw(st.sets(st.sampled_from(["l1", "l2"])))):
        uses = [(Kind.CLUSTER, each) for each in sorted(draw(some))]
        for kind in (Kind.ROUTES, Kind.EXTENSION):
            if draw(st.booleans()):
                inner = [(Kind.CLUSTER, each) for each in sorted(draw(some))]
                uses.append(add(kind, draw(st.sampled_from(["r1", "r2"])), inner))
        if draw(st.booleans()):
            uses.append(add(Kind.SECRET, "own", []))
        add(Kind.LISTENER, name, uses)
    return snapshot("n", parts.values())


@dataclass
class World:
    """A stream and an Envoy, with the messages between them."""

    envoy: ModelEnvoy
    form: Form = Form.DELTA
    memory: NodeMemory = field(default_factory=NodeMemory)
    current: NodeSnapshot = field(default_factory=lambda: snapshot("n", []))
    answers: deque[Response] = field(default_factory=deque[Response])

    timeouts: int = 0

    def __post_init__(self) -> None:
        self.stream = Stream(self.memory, self.form)

    def publish(self, new: NodeSnapshot) -> None:
        """Publish a snapshot."""
        self.current = new
        self.answers.extend(self.stream.publish(new))

    def reconnect(self, keep_memory: bool) -> None:
        """End the stream and open another; the control plane may have restarted meanwhile."""
        self.stream.end()
        if not keep_memory:
            self.memory = NodeMemory()
            self.envoy.refused.clear()
        self.answers.clear()
        self.stream = Stream(self.memory, self.form)
        self.answers.extend(self.stream.publish(self.current))
        self.envoy.connect()

    def step(self, to_envoy: bool) -> bool:
        """Deliver one message; return whether there was one."""
        if to_envoy and self.answers:
            self.envoy.receive(self.answers.popleft())
        elif self.envoy.sent:
            self.answers.extend(self.stream.request(self.envoy.next_request()))
        elif self.answers:
            self.envoy.receive(self.answers.popleft())
        else:
            return False
        return True

    def drain(self) -> None:
        """Deliver messages until there are none."""
        for _ in range(STEPS_MAX):
            if self.step(to_envoy=True):
                continue
            if not self.envoy.time_out():
                return
            self.timeouts += 1
        raise AssertionError("the messages never end")


MESSAGES = ("to envoy", "to envoy", "to server", "to server")
STEPS = st.lists(st.one_of(st.sampled_from(MESSAGES), snapshots()), max_size=40)
ACTIONS = st.lists(
    st.one_of(st.sampled_from((*MESSAGES, "reconnect", "restart")), snapshots()), max_size=40
)


def run(world: World, actions: list[str | NodeSnapshot]) -> None:
    """Take the actions, then deliver all messages."""
    world.envoy.connect()
    for action in actions:
        if isinstance(action, NodeSnapshot):
            world.publish(action)
        elif action in ("reconnect", "restart"):
            world.reconnect(keep_memory=action == "reconnect")
        else:
            world.step(to_envoy=action == "to envoy")
    world.drain()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(ACTIONS, snapshots())
def test_a_client_always_gets_what_the_last_snapshot_has(actions, last) -> None:
    world = World(ModelEnvoy())
    run(world, [*actions, last])
    has_everything(world, last)
    # After a restart the control plane no longer knows the endpoints of a removed cluster.
    assert "restart" in actions or world.timeouts == 0


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(STEPS, snapshots())
def test_a_state_of_the_world_client_gets_what_the_last_snapshot_has(actions, last) -> None:
    world = World(ModelSotwEnvoy(), Form.SOTW)
    run(world, [*actions, last])
    has_everything(world, last)
    assert world.timeouts == 0


def has_everything(world: World, last: NodeSnapshot) -> None:
    """Check that Envoy has exactly the last snapshot, and that the stream knows it."""
    for kind in (Kind.CLUSTER, Kind.LISTENER):
        assert world.envoy.has[kind] == dict(last.resources[kind])
    for kind, named in world.envoy.has.items():
        assert named == {name: last.resources[kind][name] for name in named}
        assert named.keys() == world.envoy.subscribed[kind] or kind in (Kind.CLUSTER, Kind.LISTENER)
    assert world.stream.complete()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(ACTIONS, snapshots(), st.randoms(use_true_random=False))
def test_refusals_end_and_leave_a_consistent_client(actions, last, random) -> None:
    every = [each for each in [*actions, last] if isinstance(each, NodeSnapshot)]
    versions = sorted({e.version for s in every for n in s.resources.values() for e in n.values()})
    # Without endpoints or secrets a cluster would warm until Envoy's timeout.
    bad = set(random.sample(versions, min(len(versions), 3)))
    spared = {
        each.version
        for one in every
        for kind in (Kind.ENDPOINTS, Kind.SECRET)
        for each in one.resources[kind].values()
    }
    world = World(ModelEnvoy(bad=bad - spared))
    run(world, [*actions, last])
    for named in world.envoy.has.values():
        for each in named.values():
            assert each.version not in bad - spared
            # After a restart the control plane does not know what the last good version names.
            for kind, name in each.uses if "restart" not in actions else ():
                refused = each.kind is Kind.ROUTES and kind is Kind.CLUSTER
                assert refused or name in world.envoy.has[kind]
    if not any(
        each.version in bad - spared for n in last.resources.values() for each in n.values()
    ):
        assert world.stream.complete()
