"""The window adds up what proxies count, over restarts, and forgets what is old."""

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mesh.pilot.counted import ClusterState, Sample
from mesh.pilot.window import BOUNDS_MS, WINDOW_S, Window, is_failed, quantile_ms

STEP_S = 5
KEY = ("a", "m", "200/0")
_increments = st.lists(
    st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=int(WINDOW_S / STEP_S) - 2
)


def counted(uptime_s: int, calls: int) -> Sample:
    """Return a sample with one counter."""
    return Sample(uptime_s, {KEY: calls}, {("a", "m", 10.0): calls})


@given(_increments)
def test_no_call_is_lost_or_counted_twice(steps: list[tuple[int, bool]]) -> None:
    """Whenever the proxy restarts: it then counts from 0, perhaps beyond the last sample."""
    window, now_s, uptime_s, total, made = Window(), 0.0, 1000, 7, 0
    window.add("n", now_s, counted(uptime_s, total))
    for number, restarted in steps:
        now_s += STEP_S
        uptime_s, total = (1, 0) if restarted and uptime_s > 1 else (uptime_s + STEP_S, total)
        total += number
        made += number
        window.add("n", now_s, counted(uptime_s, total))
    found = window.view(now_s).counted().get(("n", "a", "m"))
    assert (found.total if found else 0) == made
    assert (found.times[10.0] if found else 0) == made


@given(st.integers(0, 10), st.integers(1, 10))
def test_a_proxy_that_starts_later_has_all_its_calls_in_the_window(first: int, more: int) -> None:
    """The calls of a proxy that ran before are no calls of the window."""
    for seen_s, expected in ((0.0, first + more), (None, more)):
        window = Window()
        if seen_s is not None:
            window.expect("n", seen_s)
        window.add("n", 60.0, counted(30, first))
        window.add("n", 65.0, counted(35, first + more))
        assert window.view(65.0).counted()["n", "a", "m"].total == expected


def test_calls_leave_the_window_after_its_length() -> None:
    """Also when no new sample comes."""
    window = Window()
    window.add("n", 0.0, counted(100, 0))
    window.add("n", 5.0, counted(105, 4))
    assert window.view(8.0).seconds == 8.0
    assert window.view(WINDOW_S).counted()["n", "a", "m"].total == 4
    assert window.view(WINDOW_S, 60.0).counted() == {}
    assert window.view(WINDOW_S + 5.0).counted() == {}
    assert window.view(10 * WINDOW_S).seconds == WINDOW_S
    assert window.view(10 * WINDOW_S, 60.0).seconds == 60.0


@given(st.integers(1, 60), st.integers(0, 4))
def test_a_steady_rate_is_the_same_over_any_time(wanted_s: int, late_s: int) -> None:
    """Samples come every five seconds; the first one of a view began before the wanted time."""
    window = Window()
    for at_s in range(0, 205, STEP_S):
        window.add("n", float(at_s), counted(1000 + at_s, 10 * at_s))
    window.add("n", 200.0 + late_s, counted(1200 + late_s, 10 * (200 + late_s)))
    found = window.view(200.0 + late_s, float(wanted_s))
    assert found.counted()["n", "a", "m"].total == 10 * found.seconds
    assert wanted_s <= found.seconds <= wanted_s + STEP_S


def test_retries_grow_and_clusters_have_their_newest_state() -> None:
    """A proxy that no longer exists has no state; its calls stay."""
    window = Window()
    for at_s, retries in ((0.0, 5), (5.0, 8)):
        clusters = {"service/b": ClusterState(retries, ejected=retries % 2)}
        window.add("n", at_s, Sample(100 + int(at_s), {KEY: retries}, {}, clusters))
    assert window.view(5.0).retries() == Counter({("n", "service/b"): 3})
    assert window.view(5.0).clusters == {("n", "service/b"): ClusterState(8)}
    window.keep([])
    assert window.view(5.0).clusters == {}
    assert window.view(5.0).counted()["n", "a", "m"].total == 3


def test_the_issuer_is_down_while_its_newest_fetch_failed() -> None:
    """Without any fetch, nothing is known."""
    window = Window()
    assert not window.issuer_is_down
    window.add("gateway-0", 0.0, Sample(100, keys_fetched=3, keys_failed=1))
    assert not window.issuer_is_down
    window.add("gateway-0", 5.0, Sample(105, keys_fetched=3, keys_failed=2))
    assert window.issuer_is_down
    window.add("gateway-0", 10.0, Sample(110, keys_fetched=4, keys_failed=2))
    assert not window.issuer_is_down


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 9)), max_size=40))
def test_the_kept_sum_is_the_sum_of_what_is_still_in_the_window(
    steps: list[tuple[int, int]],
) -> None:
    """Whenever samples come, also after long pauses."""
    window, now_s, total, grown = Window(), 0.0, 0, list[tuple[float, int]]()
    window.add("n", now_s, counted(1000, total))
    for pause_s, number in steps:
        now_s, total = now_s + pause_s, total + number
        grown.append((now_s, number))
        window.add("n", now_s, counted(1000 + int(now_s), total))
    found = window.view(now_s).counted().get(("n", "a", "m"))
    kept = sum(number for at_s, number in grown if at_s > now_s - WINDOW_S)
    assert (found.total if found else 0) == kept


_BOUNDS = (*BOUNDS_MS, math.inf)
_SHARES = (0.01, 0.5, 0.95, 0.99, 1.0)


@given(st.dictionaries(st.sampled_from(_BOUNDS), st.integers(0, 9)))
def test_a_quantile_is_in_the_bucket_of_its_call_and_grows_with_its_share(
    times: dict[float, int],
) -> None:
    """Calls above the last bound count as the last bound."""
    values = [each for share in _SHARES if (each := quantile_ms(times, share)) is not None]
    total = sum(times.values())
    assert len(values) == (len(_SHARES) if total else 0)
    assert values == sorted(values)
    for share, value in zip(_SHARES, values, strict=False):
        up_to = [sum(n for bound, n in times.items() if bound <= each) for each in _BOUNDS]
        at = next(i for i, number in enumerate(up_to) if number >= share * total)
        low = _BOUNDS[at - 1] if at else 0.0
        assert low <= value <= (_BOUNDS[at] if math.isfinite(_BOUNDS[at]) else low)


def test_each_bucket_is_kept_alone() -> None:
    """A sample counts the calls up to each bound."""
    window = Window()
    window.expect("n", 0.0)
    upto = {1.0: 2, 5.0: 2, 10.0: 7, math.inf: 7}
    window.add("n", 9.0, Sample(1, {}, {("a", "m", bound): n for bound, n in upto.items()}))
    assert window.view(9.0).counted()["n", "a", "m"].times == {1.0: 2, 10.0: 5}


def test_failures_are_those_of_the_server() -> None:
    """An answer to a caller's mistake is none."""
    failed = ("503/-", "200/14", "200/4", "500/2")
    fine = ("200/0", "200/5", "200/7", "404/-", "0/-", "200/", "400/13", "404/12", "409/2")
    assert [is_failed(each) for each in (*failed, *fine)] == [True] * 4 + [False] * 9


@given(st.integers(0, 100), st.integers(0, 100))
def test_a_clock_that_is_set_back_is_no_restart(before: int, back_s: int) -> None:
    """Envoy counts its uptime by the clock of the machine; its counters keep their values."""
    window = Window()
    window.add("n", 0.0, counted(1000, before))
    window.add("n", 5.0, counted(1005 - back_s, before + 3))
    assert window.view(5.0).counted()["n", "a", "m"].total == 3


def test_a_restart_is_seen_after_a_long_pause_without_samples() -> None:
    """The new process may be older than the old one was, and have counted more."""
    window = Window()
    window.add("n", 0.0, counted(20, 0))
    window.add("n", 5.0, counted(25, 10))
    window.add("n", 305.0, counted(200, 40))
    assert window.view(305.0).counted()["n", "a", "m"].total == 50


def test_what_was_counted_before_the_window_is_used_on_demand_while_the_window_is_short() -> None:
    """After a restart of the control plane, a rehearsal needs the calls from before."""
    window = Window()
    window.add("n", 0.0, counted(1000, 70))
    window.add("n", 5.0, counted(1005, 72))
    assert window.view(5.0).counted()["n", "a", "m"].total == 2
    found = window.view(5.0, earlier=True)
    one = found.counted()["n", "a", "m"]
    assert (one.total, one.times[10.0], found.earlier) == (72, 72, True)
    later = window.view(WINDOW_S, earlier=True)
    assert (later.counted()["n", "a", "m"].total, later.earlier) == (2, False)
