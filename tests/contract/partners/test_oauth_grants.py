"""The provider's grants and used ids over time: leeway, limits, and journals that stay small."""

import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.partners.journal import Journal, JournalError
from sandbox.partners.oauth.grants import CURRENT_MAX, Consent, Grant, Grants, Limits, Use
from sandbox.partners.oauth.used_ids import UsedIds, UsedIdsError

NOW = 1_800_000_000.0
LIMITS = Limits(ttl_s=1_000, leeway_s=60, grants_max=100)


def consent(sid: str = "") -> Consent:
    return Consent(
        client_id="bp-auth",
        subject=str(uuid.uuid4()),
        audience="bp-api",
        scope="transfers:write offline_access",
        sid=sid or str(uuid.uuid4()),
        device="phone-1",
        amr=("pwd", "otp"),
        auth_time=int(NOW),
        actor="bp-auth",
    )


def of(grants: Grants, token: str, now: float) -> Grant:
    grant = grants.find(token, now)
    assert grant is not None
    return grant


def rotate(grants: Grants, token: str, now: float) -> str:
    return grants.rotate(of(grants, token, now), token, now)


def reopened(path: Path, grants: Grants, now: float = NOW, limits: Limits = LIMITS) -> Grants:
    grants.close()
    return Grants(path, limits, now)


def test_the_leeway_is_counted_from_the_first_use_of_the_last_token(tmp_path: Path) -> None:
    path = tmp_path / "grants"
    grants = Grants(path, LIMITS, NOW)
    first = grants.open(consent(), NOW)
    rotate(grants, first, NOW + 10)
    grant = of(grants, first, NOW)
    assert grants.use_of(grant, first, NOW + 69) is Use.REPEATED
    grants.repeat(grant, first, NOW + 69)
    assert grants.use_of(grant, first, NOW + 70) is Use.REUSED
    grants = reopened(path, grants)
    grant = of(grants, first, NOW)
    assert grants.use_of(grant, first, NOW + 69) is Use.REPEATED
    assert grants.use_of(grant, first, NOW + 70) is Use.REUSED
    grants.close()


def test_repeated_uses_of_the_last_token_leave_a_limited_number_of_current_ones(
    tmp_path: Path,
) -> None:
    grants = Grants(tmp_path / "grants", LIMITS, NOW)
    first = grants.open(consent(), NOW)
    tokens = [rotate(grants, first, NOW)]
    grant = of(grants, first, NOW)
    tokens += [grants.repeat(grant, first, NOW) for _ in range(CURRENT_MAX)]
    uses = [grants.use_of(grant, token, NOW) for token in tokens]
    assert uses == [Use.REUSED] + [Use.CURRENT] * CURRENT_MAX
    grants.close()


def test_a_grant_expires_and_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "grants"
    grants = Grants(path, LIMITS, NOW)
    token = grants.open(consent(), NOW)
    assert grants.find(token, NOW + 999) is not None
    assert grants.find(token, NOW + 1_000) is None
    grants.open(consent(), NOW + 1_000)
    assert len(grants) == 1
    grants = reopened(path, grants, NOW + 2_000)
    assert len(grants) == 0
    grants.close()


def test_beyond_the_limit_the_oldest_grant_ends(tmp_path: Path) -> None:
    path, limits = tmp_path / "grants", Limits(ttl_s=1_000, leeway_s=60, grants_max=2)
    grants = Grants(path, limits, NOW)
    tokens = [grants.open(consent(), NOW + at) for at in range(3)]
    for _ in range(2):
        assert [grants.find(token, NOW + 3) is not None for token in tokens] == [False, True, True]
        grants = reopened(path, grants, limits=limits)
    grants.close()


def test_an_ended_session_is_remembered_until_its_access_tokens_have_expired(
    tmp_path: Path,
) -> None:
    path = tmp_path / "grants"
    grants = Grants(path, LIMITS, NOW)
    grants.end("s-1", NOW + 0.5, NOW + 600)
    for _ in range(2):
        assert grants.has_ended("s-1", NOW)
        assert not grants.has_ended("s-1", NOW + 1)
        assert not grants.has_ended("s-2", NOW)
        grants = reopened(path, grants)
    grants.end("s-2", NOW + 600, NOW + 1_200)
    assert not grants.has_ended("s-1", NOW)
    grants.close()


def test_the_number_of_remembered_sessions_has_a_limit(tmp_path: Path) -> None:
    grants = Grants(tmp_path / "grants", Limits(1_000, 60, grants_max=2), NOW)
    for name in ("s-1", "s-2", "s-3"):
        grants.end(name, NOW, NOW + 600)
    assert [grants.has_ended(name, NOW) for name in ("s-1", "s-2", "s-3")] == [False, True, True]
    grants.close()


def test_the_journal_of_grants_stays_small_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "grants"
    grants = Grants(path, LIMITS, NOW)
    grants.end("s-1", NOW, NOW + 10_000)
    other = grants.open(consent(), NOW)
    token = grants.open(consent(), NOW)
    last = token
    for at in range(3_000):
        last, token = token, rotate(grants, token, NOW + at / 100)
    assert len(path.read_bytes().splitlines()) < 1_100
    before = of(grants, token, NOW + 30)
    grants = reopened(path, grants, NOW + 30)
    assert of(grants, token, NOW + 30) == before
    assert grants.use_of(before, last, NOW + 30) is Use.REPEATED
    assert grants.find(other, NOW + 30) is not None
    assert grants.has_ended("s-1", NOW)
    assert rotate(grants, token, NOW + 31)
    grants.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["use", "use earlier", "restart"]), st.integers(0, 100)),
        max_size=30,
    )
)
def test_only_one_line_of_tokens_lives_whatever_is_used_in_which_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """A reference model: the current tokens, the last one with its time, and all earlier ones."""
    path = tmp_path_factory.mktemp("model") / "grants"
    limits = Limits(ttl_s=1e9, leeway_s=60, grants_max=10)
    grants, now = Grants(path, limits, NOW), NOW
    seen = [grants.open(consent(), NOW)]
    current, last, rotated_at = {seen[0]}, "", 0.0
    for step, number in steps:
        now += number
        if step == "restart":
            grants = reopened(path, grants, now, limits)
            continue
        token = seen[-1] if step == "use" else seen[number % len(seen)]
        grant = of(grants, token, now)
        use = grants.use_of(grant, token, now)
        if token in current:
            assert use is Use.CURRENT
            seen.append(grants.rotate(grant, token, now))
            current, last, rotated_at = {seen[-1]}, token, now
        elif token == last and now - rotated_at < 60:
            assert use is Use.REPEATED
            seen.append(grants.repeat(grant, token, now))
            current = {*[t for t in seen if t in current][-CURRENT_MAX + 1 :], seen[-1]}
        else:
            assert use is Use.REUSED
            grants.end(grant.consent.sid, now, now)
            assert [t for t in seen if grants.find(t, now) is not None] == []
            break
    grants.close()


def test_an_id_is_free_again_after_it_expired_and_the_number_of_ids_has_a_limit(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ids"
    ids = UsedIds(path, 2)
    assert ids.take("a", NOW + 10, NOW)
    assert ids.take("b", NOW + 20, NOW)
    assert not ids.take("a", NOW + 10, NOW + 9)
    with pytest.raises(UsedIdsError):
        ids.take("c", NOW + 30, NOW + 9)
    assert ids.take("c", NOW + 30, NOW + 10)
    ids.close()
    ids = UsedIds(path, 2)
    assert not ids.take("b", NOW + 20, NOW + 10)
    assert ids.take("a", NOW + 40, NOW + 20)
    ids.close()


def test_the_journal_of_ids_stays_small_and_forgets_no_id_in_use(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    ids = UsedIds(path, 100)
    for number in range(3_000):
        assert ids.take(f"id-{number}", NOW + number + 10, NOW + number)
    assert len(path.read_bytes().splitlines()) < 1_100
    ids.close()
    ids = UsedIds(path, 100)
    taken = [ids.take(f"id-{n}", NOW + n + 10, NOW + 3_000) for n in (2_999, 2_991)]
    assert taken == [False, False]
    ids.close()


def test_a_replaced_journal_stays_locked_and_holds_the_new_records(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.append({"n": 1})
    (tmp_path / "journal.part").write_text("of a killed process")
    journal.replace([{"n": 2}, {"n": 3}])
    offset = journal.append({"n": 4})
    assert journal.read(offset) == {"n": 4}
    assert journal.records == 3
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(JournalError, match="another process"):
        Journal(path)
    journal.close()
    again = Journal(path)
    assert [record["n"] for _, record in again.replay()] == [2, 3, 4]
    assert again.records == 3
    again.close()
    assert [file.name for file in tmp_path.iterdir()] == ["journal"]
