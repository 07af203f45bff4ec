"""What a login session may cost at the face service, whatever its caller sends or breaks off."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import asyncpg
import pytest
import pytest_asyncio

from sandbox.seed.faces import picture
from services.auth.charges import FACE_CHECKS_OF_DAY_MAX, WINDOW_S, FaceCheckKind
from services.auth.counters import FaceChecks
from services.auth.errors import (
    FaceNotFound,
    LivenessPending,
    LoginSessionInvalid,
    MethodUnavailable,
    PictureInvalid,
    TriesExhausted,
)
from services.auth.faces import (
    FACE_CHECKS_MAX,
    LIVENESS_BEGINS,
    LIVENESS_CHECKS_MAX,
    Comparison,
    FaceMatch,
    FacesUnavailable,
    Liveness,
    LivenessState,
)
from services.auth.handlers import face
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.face import liveness_of, require_face
from services.auth.sealing import Field, Sealer
from services.auth.state import BiometricMethod, LoginSession, Step
from services.auth.state import User as Row
from services.auth.store import Store
from services.chassis.vault import Vault
from services.kernel.clock import utc_now
from services.kernel.errors import BankError, DependencyUnavailable
from tests.integration.auth.conftest import User
from tests.integration.auth.logins import Logins, login_session, opened
from tests.rigs.stores import ValkeyStore

KEYS = {"blind_index_key": "0a" * 32}
ROW = "INSERT INTO auth.face (customer_id, picture_sealed) VALUES ($1, $2)"
PARALLEL = 20
EMPTY_ROOM = Comparison(0)
PICTURES_OF_DAY_MAX = FACE_CHECKS_OF_DAY_MAX[FaceCheckKind.PICTURE]
LIVENESS_OF_DAY_MAX = FACE_CHECKS_OF_DAY_MAX[FaceCheckKind.LIVENESS]
WAITING = login_session(step=Step.AWAITING_BIOMETRIC, biometric_method=BiometricMethod.FACE)
LIVE = Liveness(LivenessState.SUCCEEDED, 99.0, picture("ana"))


@dataclass
class AWS:
    """The face service: it counts the calls, and returns the answers that a test sets."""

    found: Comparison = EMPTY_ROOM
    live: Liveness = LIVE
    is_down: bool = False
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    begun: int = 0
    asked: int = 0

    async def create_liveness_session(self) -> str:
        self.begun += 1
        await self._answered()
        return f"live-{self.begun}"

    async def liveness(self, session_id: str) -> Liveness:
        self.asked += 1
        await self._answered()
        return self.live

    async def compare(self, reference: bytes, picture: bytes) -> Comparison:
        return self.found

    async def _answered(self) -> None:
        await self.answers.wait()
        if self.is_down:
            raise FacesUnavailable


@dataclass
class Login:
    """A login session that waits for its face."""

    deps: Dependencies
    logins: Logins
    aws: AWS
    user: Row
    session_id: str

    async def session(self) -> LoginSession:
        return await self.logins.sessions.read(self.session_id)

    async def begin(self) -> LoginSession:
        """Ask for the liveness check, as a call of verify-otp does."""
        return await liveness_of(self.deps, self.session_id, await self.session())

    async def send(self, data: bytes = picture("ana", pose=1)) -> LoginSession:
        """Send a picture, as a call of biometric does."""
        session = await self.session()
        return await require_face(self.deps, self.session_id, session, self.user, data)

    async def again(self, device_id: uuid.UUID | None = None) -> None:
        """Replace the login session by a new one of the same customer."""
        session = replace(WAITING, customer_id=self.user.customer_id, device_id=device_id)
        self.session_id = await self.logins.sessions.begin(session)

    async def hung_up(self, call: Callable[[], Awaitable[LoginSession]]) -> None:
        """Make a call, and hang up while the face service works."""
        self.aws.answers.clear()
        before = self.aws.begun + self.aws.asked
        calling = asyncio.ensure_future(call())
        while self.aws.begun + self.aws.asked == before and not calling.done():
            await asyncio.sleep(0)
        calling.cancel()
        await asyncio.sleep(0)
        self.aws.answers.set()
        with suppress(asyncio.CancelledError):
            await calling


@pytest_asyncio.fixture
async def login(
    valkey: ValkeyStore, store: Store, vault: Vault, user: User, superuser: asyncpg.Pool
) -> AsyncGenerator[Login]:
    """A login of a customer with a stored face; the face service answers at once."""
    sealer, aws = Sealer(vault, KEYS), AWS()
    aws.answers.set()
    sealed = await sealer.seal(user.customer_id, Field.FACE, picture("ana"))
    await superuser.execute(ROW, user.customer_id, sealed)
    row = await store.user(user.customer_id)
    assert row is not None
    async with opened(valkey) as logins:
        needed = SimpleNamespace(
            sessions=logins.sessions,
            store=store,
            sealer=sealer,
            faces=FaceMatch(aws, 60),
            face_checks=FaceChecks(logins.client),
        )
        made = Login(cast(Dependencies, needed), logins, aws, row, "")
        await made.again()
        yield made


async def ended(login: Login) -> bool:
    try:
        await login.session()
    except LoginSessionInvalid:
        return True
    return False


async def test_a_session_has_one_liveness_check_however_often_it_is_asked_for(login: Login) -> None:
    begun = await login.begin()
    assert begun.liveness_session_id == "live-1"
    assert [await login.begin() for _ in range(5)] == [begun] * 5
    assert await login.session() == begun
    assert login.aws.begun == 1


async def test_of_parallel_calls_one_begins_the_liveness_check(login: Login) -> None:
    """The others wait, and get the same one."""
    login.aws.answers.clear()
    calls = asyncio.gather(*(login.begin() for _ in range(PARALLEL)))
    while not login.aws.begun:
        await asyncio.sleep(0)
    login.aws.answers.set()
    assert {begun.liveness_session_id for begun in await calls} == {"live-1"}
    assert login.aws.begun == 1


async def test_a_call_that_hangs_up_keeps_its_liveness_check_for_the_next_one(login: Login) -> None:
    """AWS charges for each check that begins."""
    for _ in range(LIVENESS_CHECKS_MAX + 1):
        await login.hung_up(login.begin)
    assert (await login.begin()).liveness_session_id == "live-1"
    assert login.aws.begun == 1


async def _killed(login: Login, ago: timedelta) -> LoginSession:
    """Begin a liveness check in a process that is killed; return the session that it leaves."""
    session, now = await login.session(), utc_now()
    checks = session.liveness_checks + 1
    killed = replace(session, liveness_checks=checks, liveness_begin_time=now - ago)
    await login.logins.sessions.advance(login.session_id, session, killed)
    return killed


async def test_killed_calls_get_a_bounded_number_of_liveness_checks(login: Login) -> None:
    for _ in range(LIVENESS_CHECKS_MAX):
        await _killed(login, LIVENESS_BEGINS * 10)
    with pytest.raises(LoginSessionInvalid):
        await login.begin()
    assert login.aws.begun == 0
    assert await ended(login)


async def test_an_outage_uses_up_no_liveness_check(login: Login) -> None:
    login.aws.is_down = True
    for _ in range(LIVENESS_CHECKS_MAX + 2):
        with pytest.raises(DependencyUnavailable):
            await login.begin()
    login.aws.is_down = False
    assert (await login.begin()).liveness_checks == 1


async def test_a_killed_call_holds_the_liveness_check_up_for_less_than_a_minute(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face, "LIVENESS_WITHIN_S", 0.0)
    killed = await _killed(login, timedelta())
    with pytest.raises(DependencyUnavailable):
        await login.begin()
    old = replace(killed, liveness_begin_time=utc_now() - LIVENESS_BEGINS * 10)
    await login.logins.sessions.advance(login.session_id, killed, old)
    begun = await login.begin()
    assert (begun.liveness_session_id, begun.liveness_checks) == ("live-1", 2)


async def test_a_picture_before_the_liveness_check_began_is_refused_without_a_call(
    login: Login,
) -> None:
    with pytest.raises(LoginSessionInvalid):
        await login.send()
    assert login.aws.asked == 0
    assert not await ended(login)


REFUSED: list[tuple[AWS, type[BankError]]] = [
    (AWS(), FaceNotFound),
    (AWS(live=Liveness(LivenessState.PENDING)), LivenessPending),
]


@pytest.mark.parametrize(("answers", "error"), REFUSED, ids=["no face", "pending"])
async def test_a_session_sends_a_bounded_number_of_pictures_and_then_ends(
    login: Login, answers: AWS, error: type[BankError]
) -> None:
    """These outcomes are no wrong tries, so no counter of tries limits them."""
    login.aws.found, login.aws.live = answers.found, answers.live
    await login.begin()
    for _ in range(FACE_CHECKS_MAX):
        with pytest.raises(error):
            await login.send()
    with pytest.raises(LoginSessionInvalid):
        await login.send()
    assert login.aws.asked == FACE_CHECKS_MAX
    assert await ended(login)


async def test_calls_that_hang_up_get_a_bounded_number_of_comparisons(login: Login) -> None:
    await login.begin()
    for _ in range(FACE_CHECKS_MAX + 3):
        with suppress(LoginSessionInvalid):
            await login.hung_up(login.send)
    assert login.aws.asked == FACE_CHECKS_MAX
    assert await ended(login)


async def test_parallel_calls_do_not_pass_the_limit_together(login: Login) -> None:
    await login.begin()
    for _ in range(FACE_CHECKS_MAX):
        sent = [login.send() for _ in range(PARALLEL)]
        results = await asyncio.gather(*sent, return_exceptions=True)
        assert {type(result) for result in results} <= {FaceNotFound, LoginSessionInvalid}
    assert login.aws.asked <= FACE_CHECKS_MAX


async def test_neither_a_bad_picture_nor_an_outage_uses_up_a_check(login: Login) -> None:
    await login.begin()
    for _ in range(FACE_CHECKS_MAX + 1):
        with pytest.raises(PictureInvalid):
            await login.send(b"<svg/>")
    assert login.aws.asked == 0
    login.aws.is_down = True
    for _ in range(FACE_CHECKS_MAX + 1):
        with pytest.raises(DependencyUnavailable):
            await login.send()
    login.aws.is_down, login.aws.found = False, Comparison(1, 99.0)
    counted = await login.send()
    assert counted == await login.session()
    assert counted.face_checks == 1


async def test_an_outage_after_a_parallel_change_of_the_session_is_an_outage(
    login: Login,
) -> None:
    await login.begin()
    login.aws.answers.clear()
    call = asyncio.create_task(login.send())
    while not login.aws.asked:
        await asyncio.sleep(0)
    counted = await login.session()
    changed = replace(counted, face_checks=counted.face_checks + 1)
    await login.logins.sessions.advance(login.session_id, counted, changed)
    login.aws.is_down = True
    login.aws.answers.set()
    with pytest.raises(DependencyUnavailable):
        await call
    assert await login.session() == changed


async def test_a_customer_has_a_bounded_number_of_liveness_checks_a_day(login: Login) -> None:
    """A customer with an authenticator app begins login sessions without a message."""
    for _ in range(LIVENESS_OF_DAY_MAX):
        await login.begin()
        await login.again()
    for _ in range(LIVENESS_CHECKS_MAX + 1):
        with pytest.raises(TriesExhausted) as refused:
            await login.begin()
        assert 0 < (refused.value.retry_after_s or 0) <= WINDOW_S
    assert login.aws.begun == LIVENESS_OF_DAY_MAX
    assert (await login.session()).liveness_checks == 0
    await login.again(device_id=uuid.uuid4())
    await login.begin()


async def test_a_customer_sends_a_bounded_number_of_pictures_a_day(login: Login) -> None:
    for _ in range(PICTURES_OF_DAY_MAX // FACE_CHECKS_MAX):
        await login.begin()
        for _ in range(FACE_CHECKS_MAX):
            with pytest.raises(FaceNotFound):
                await login.send()
        await login.again()
    begun = await login.begin()
    with pytest.raises(TriesExhausted):
        await login.send()
    assert login.aws.asked == PICTURES_OF_DAY_MAX
    assert await login.session() == begun
    await login.again(device_id=uuid.uuid4())
    await login.begin()
    with pytest.raises(FaceNotFound):
        await login.send()


async def test_an_outage_uses_up_no_check_of_the_day(login: Login) -> None:
    await login.begin()
    login.aws.is_down = True
    for _ in range(PICTURES_OF_DAY_MAX + 1):
        with pytest.raises(DependencyUnavailable):
            await login.send()
    await login.again()
    for _ in range(LIVENESS_OF_DAY_MAX):
        with pytest.raises(DependencyUnavailable):
            await login.begin()
    login.aws.is_down = False
    await login.begin()
    with pytest.raises(FaceNotFound):
        await login.send()


async def test_a_customer_without_a_stored_face_causes_no_call(
    login: Login, superuser: asyncpg.Pool
) -> None:
    await superuser.execute("DELETE FROM auth.face WHERE customer_id = $1", login.user.customer_id)
    await login.begin()
    with pytest.raises(MethodUnavailable):
        await login.send()
    assert login.aws.asked == 0
