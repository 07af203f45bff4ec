"""The third factor: wrong faces, pictures and signatures are refused, each with its reason."""

import io
from base64 import b64encode
from collections.abc import Callable
from copy import copy
from dataclasses import replace

import pytest
from PIL import Image

from sandbox.app import ORIGIN, App
from sandbox.phone import Assertion, Flags, SoftwareKey
from sandbox.seed import faces
from services.auth.device_keys import new_challenge
from services.auth.faces import FACE_CHECKS_MAX
from tests.rigs.logins import asked, ends, require_done, require_refused, second_phone
from tests.rigs.running_bank import Answer, Bank, Customer

pytestmark = pytest.mark.judged_with_its_module

DOMAIN = "app.bp.example"

FACES: list[tuple[str, str, faces.Kind, str, faces.Kind, int, str]] = [
    ("another picture", "", "live", "eve", "live", 401, "FACE_NOT_MATCHED"),
    ("another person at the camera", "eve", "live", "", "live", 401, "FACE_NOT_MATCHED"),
    ("a sibling", "{own}~sister", "live", "{own}~sister", "live", 401, "FACE_NOT_MATCHED"),
    ("a photograph at the camera", "", "photo_of_photo", "", "live", 401, "FACE_NOT_LIVE"),
    ("an empty room", "", "live", "", "nobody", 400, "FACE_NOT_FOUND"),
    ("two faces", "", "live", "", "two", 400, "FACES_SEVERAL"),
]
"""What, who and how before the camera, who and how in the picture, the answer."""


@pytest.mark.parametrize(
    ("who", "camera", "sent", "picture", "status", "reason"),
    [row[1:] for row in FACES],
    ids=[row[0] for row in FACES],
)
async def test_a_wrong_face_is_refused_with_its_reason(
    app: App,
    who: str,
    camera: faces.Kind,
    sent: str,
    picture: faces.Kind,
    status: int,
    reason: str,
) -> None:
    wanted = await asked(app)
    await app.show_face(wanted.body["livenessSessionId"], who.format(own=app.face), camera)
    answer = await app.send_face(wanted.body["sessionId"], sent.format(own=app.face), picture)
    require_refused(answer, status, reason)
    assert not app.phone.access_token


async def test_a_picture_before_the_liveness_check_may_be_sent_again(app: App) -> None:
    wanted = await asked(app)
    pending = await app.send_face(wanted.body["sessionId"])
    require_refused(pending, 409, "LIVENESS_PENDING")
    assert int(pending.headers["Retry-After"]) > 0
    await app.show_face(wanted.body["livenessSessionId"])
    require_done(await app.send_face(wanted.body["sessionId"]))


async def test_the_liveness_check_of_another_login_does_not_count(app: App) -> None:
    """The bank keeps the id of the check with the session, so no caller can choose it."""
    first, second = await asked(app), await asked(app)
    await app.show_face(first.body["livenessSessionId"])
    answer = await app.send_face(second.body["sessionId"])
    require_refused(answer, 409, "LIVENESS_PENDING")


async def test_wrong_faces_lock_strangers_and_not_a_known_telephone(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    stranger = await App.of(bank, ana, "Stranger")
    wanted = await asked(stranger)
    await stranger.show_face(wanted.body["livenessSessionId"])
    for _ in range(5):
        answer = await stranger.send_face(wanted.body["sessionId"], "eve")
        require_refused(answer, 401, "FACE_NOT_MATCHED")
    locked = await stranger.send_face(wanted.body["sessionId"])
    require_refused(locked, 429, "TRIES_EXHAUSTED")
    require_done(await logged_in.log_in())


async def send(app: App, session_id: str, picture: bytes) -> Answer:
    """Send any bytes as the picture of a face."""
    data = {"face": {"picture": b64encode(picture).decode()}}
    return await app.post("biometric", {"sessionId": session_id, "biometricData": data})


def bomb() -> bytes:
    """Return a small PNG that unpacks to 400 megapixels."""
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    return out.getvalue()


def of_other_format() -> bytes:
    """Return a picture in a format that the bank does not read."""
    out = io.BytesIO()
    Image.new("RGB", (160, 160)).save(out, "GIF")
    return out.getvalue()


PICTURES: dict[str, Callable[[bytes], bytes]] = {
    "no picture": lambda _: b"<svg onload=alert(1)>",
    "an empty picture": lambda _: b"",
    "a torn picture": lambda own: own[:20],
    "another format": lambda _: of_other_format(),
    "a bomb": lambda _: bomb(),
    "a tiny picture": lambda _: faces.picture("x", side_px=64),
    "more than 1.5 MB": lambda own: own + bytes(1_500_001 - len(own)),
}


async def test_a_bad_picture_is_refused_and_costs_no_try(app: App) -> None:
    wanted = await asked(app)
    session_id = wanted.body["sessionId"]
    await app.show_face(wanted.body["livenessSessionId"])
    own = faces.picture(app.face, pose=2)
    for what, made in PICTURES.items():
        answer = await send(app, session_id, made(own))
        assert (what, answer.status, answer.reason) == (what, 400, "PICTURE_INVALID"), answer.text
    huge = await send(app, session_id, own + bytes(5_000_000))
    require_refused(huge, 413, "REQUEST_TOO_LARGE")
    largest = own + bytes(1_425_000 - len(own))
    assert len(b64encode(largest)) == 1_900_000
    require_done(await send(app, session_id, largest))


async def test_an_app_that_lost_the_answer_gets_the_same_tokens_again(app: App) -> None:
    wanted = await asked(app)
    session_id = wanted.body["sessionId"]
    await app.show_face(wanted.body["livenessSessionId"])
    done = require_done(await app.send_face(session_id))
    again = require_done(await app.send_face(session_id))
    assert again.body == done.body
    sessions = require_done(await app.get("/v1/auth/sessions")).body["sessions"]
    assert len(sessions) == 1
    require_done(await app.refresh())


async def test_the_answer_of_a_login_is_given_only_to_the_same_request(app: App) -> None:
    wanted = await asked(app)
    session_id = wanted.body["sessionId"]
    await app.show_face(wanted.body["livenessSessionId"])
    require_done(await app.send_face(session_id))
    own = faces.picture(app.face, pose=3)
    require_refused(await send(app, session_id, own), 401, "LOGIN_SESSION_INVALID")
    app.phone.device_name = "Another name"
    require_refused(await app.send_face(session_id), 401, "LOGIN_SESSION_INVALID")


async def test_the_answer_of_a_login_is_useless_after_its_logout(app: App) -> None:
    wanted = await asked(app)
    session_id = wanted.body["sessionId"]
    await app.show_face(wanted.body["livenessSessionId"])
    require_done(await app.send_face(session_id))
    require_done(await app.log_out())
    require_done(await app.send_face(session_id))
    await ends(app)
    require_refused(await app.refresh(), 401, "REFRESH_TOKEN_INVALID")


async def test_a_session_sends_ten_pictures_and_then_the_customer_logs_in_again(app: App) -> None:
    wanted = await asked(app)
    session_id = wanted.body["sessionId"]
    await app.show_face(wanted.body["livenessSessionId"])
    for _ in range(FACE_CHECKS_MAX):
        require_refused(await app.send_face(session_id, kind="nobody"), 400, "FACE_NOT_FOUND")
    require_refused(await app.send_face(session_id), 401, "LOGIN_SESSION_INVALID")
    require_done(await app.log_in())


async def test_the_waits_for_the_liveness_check_double(app: App) -> None:
    session_id = (await asked(app)).body["sessionId"]
    waits = [int((await app.send_face(session_id)).headers["Retry-After"]) for _ in range(4)]
    assert waits == [2, 4, 8, 16]


async def test_only_the_biometric_step_takes_a_large_body(app: App) -> None:
    large = {"email": app.identity.email, "password": "x" * 100_000}
    require_refused(await app.post("login", large), 413, "REQUEST_TOO_LARGE")


async def sign(app: App, session_id: str, signed: Assertion) -> Answer:
    """Send any assertion as the third factor."""
    fields = {
        "credentialId": signed.credential_id,
        "clientDataJson": signed.client_data_json,
        "authenticatorData": signed.authenticator_data,
        "signature": signed.signature,
    }
    body = {"sessionId": session_id, "biometricData": {"assertion": fields}}
    return await app.post("biometric", body)


def of_another_key(key: SoftwareKey, challenge: str) -> Assertion:
    """Sign with another key under the same id."""
    thief = SoftwareKey(DOMAIN, ORIGIN)
    thief.credential_id = key.credential_id
    return thief.sign(challenge)


def of_another_site(key: SoftwareKey, challenge: str) -> Assertion:
    """Sign at a site that looks like the bank's."""
    phished = copy(key)
    phished.origin = "https://app.bp.example.evil.example"
    return phished.sign(challenge)


def of_another_domain(key: SoftwareKey, challenge: str) -> Assertion:
    """Sign for another relying party."""
    other = copy(key)
    other.rp_id = "evil.example"
    return other.sign(challenge)


SIGNATURES: dict[str, Callable[[SoftwareKey, str], Assertion]] = {
    "another key": of_another_key,
    "another origin": of_another_site,
    "another domain": of_another_domain,
    "another challenge": lambda key, _: key.sign(new_challenge().hex()),
    "no challenge": lambda key, _: key.sign(""),
    "an owner who was not recognised": lambda key, one: key.sign(one, Flags.USER_PRESENT),
    "another id": lambda key, one: replace(key.sign(one), credential_id="AAAA"),
    "no signature": lambda key, one: replace(key.sign(one), signature=""),
    "nonsense": lambda key, one: replace(key.sign(one), client_data_json="e30"),
}


async def test_a_wrong_signature_is_refused_and_the_right_one_still_works(logged_in: App) -> None:
    require_done(await logged_in.register_key())
    wanted = await asked(logged_in)
    session_id = wanted.body["sessionId"]
    challenge = wanted.body["deviceKeyChallenge"]["challenge"]
    assert logged_in.phone.key is not None
    for what, made in SIGNATURES.items():
        answer = await sign(logged_in, session_id, made(logged_in.phone.key, challenge))
        assert (what, answer.status, answer.reason) == (what, 401, "ASSERTION_INVALID"), answer.text
    require_done(await logged_in.sign(session_id, challenge))


async def test_a_signature_is_good_for_one_login(logged_in: App) -> None:
    require_done(await logged_in.register_key())
    key = logged_in.phone.key
    assert key is not None
    wanted = await asked(logged_in)
    signed = key.sign(wanted.body["deviceKeyChallenge"]["challenge"])
    done = require_done(await sign(logged_in, wanted.body["sessionId"], signed))
    again = require_done(await sign(logged_in, wanted.body["sessionId"], signed))
    assert again.body == done.body
    following = await asked(logged_in)
    replayed = await sign(logged_in, following.body["sessionId"], signed)
    require_refused(replayed, 401, "ASSERTION_INVALID")


async def test_a_counter_that_does_not_grow_shows_a_copied_key(logged_in: App) -> None:
    require_done(await logged_in.register_key())
    assert logged_in.phone.key is not None
    copied = copy(logged_in.phone.key)
    require_done(await logged_in.log_in())
    wanted = await asked(logged_in)
    session_id = wanted.body["sessionId"]
    challenge = wanted.body["deviceKeyChallenge"]["challenge"]
    answer = await sign(logged_in, session_id, copied.sign(challenge))
    require_refused(answer, 401, "ASSERTION_INVALID")
    require_done(await logged_in.sign(session_id, challenge))


async def test_a_key_belongs_to_its_telephone(bank: Bank, ana: Customer, logged_in: App) -> None:
    require_done(await logged_in.register_key())
    assert logged_in.phone.key is not None
    tablet = await second_phone(bank, ana)
    unavailable = {"biometricMethod": "DEVICE_KEY"}
    session_id = require_done(await tablet.login()).body["sessionId"]
    answer = await tablet.verify_otp(session_id, "000000", **unavailable)
    require_refused(answer, 400, "METHOD_UNAVAILABLE")
    wanted = await asked(tablet)
    foreign = logged_in.phone.key.sign(new_challenge().hex())
    answer = await sign(tablet, wanted.body["sessionId"], foreign)
    require_refused(answer, 400, "METHOD_UNAVAILABLE")


async def test_a_registration_answers_its_own_challenge_once(logged_in: App) -> None:
    token = logged_in.phone.access_token
    options = require_done(await logged_in.post("devices:challenge", {}, token=token)).body
    stale = SoftwareKey(options["rpId"], ORIGIN).register(new_challenge().hex())
    made = SoftwareKey(options["rpId"], ORIGIN).register(options["challenge"])
    for one in (stale, made):
        body = {
            "credentialId": one.credential_id,
            "clientDataJson": one.client_data_json,
            "attestationObject": one.attestation_object,
        }
        answer = await logged_in.post("devices:registerKey", body, token=token)
        require_refused(answer, 401, "ASSERTION_INVALID")
    require_done(await logged_in.register_key())
