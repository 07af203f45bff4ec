"""The scenes of logging in: three factors, and an attacker who does not lock the owner out."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

from ops.display import shown
from sandbox.app import READS, App
from sandbox.client import BankClient, Customer
from sandbox.demo.stage import Scene, Stage

OPENING = 5_000_00
AMOUNT = 1_000_00
ATTACKERS = 12


async def logged_in(stage: Stage, bank: BankClient) -> None:
    """A person logs in with password, text message and face, and pays with the token."""
    scene = stage.begin(
        "Ana logs in",
        "Ana logs in with three factors: her password, a code by text message and her face, after "
        "a liveness check at AWS Rekognition. The OAuth provider issues the tokens. Then she "
        "registers FaceID, so the next login needs no picture.",
    )
    ana = await bank.customer(OPENING)
    app = await App.of(bank, ana, "Ana's phone")
    started = await app.login()
    stage.arrow(scene, "app", "gateway", "POST /v1/auth/login {email, password}")
    asked_more = f"{started.status} requireMFA {json.dumps(started.body.get('requireMFA'))}"
    stage.arrow(scene, "app", "auth", asked_more, back=True)
    code = await app.code()
    text_message(stage, (await app.texts())[-1]["body"])
    wrong = await app.verify_otp(started.body["sessionId"], "000000" if code != "000000" else "1")
    stage.holds(scene, "a wrong code is refused", wrong.status == 401)
    asked = await app.verify_otp(started.body["sessionId"], code)
    stage.arrow(scene, "app", "gateway", "POST /v1/auth/verify-otp {sessionId, otp}")
    stage.arrow(scene, "app", "auth", f"asks for {asked.body.get('biometricMethod')}", back=True)
    await app.show_face(asked.body["livenessSessionId"])
    stage.arrow(scene, "app", "Rekognition", "liveness check: Ana looks into the camera")
    done = await app.send_face(started.body["sessionId"])
    stage.arrow(scene, "auth", "Rekognition", "CompareFaces ≥ 98 %")
    stage.arrow(scene, "auth", "OAuth", "token exchange (RFC 8693)")
    stage.arrow(scene, "app", "gateway", f"{done.status} accessToken, refreshToken", back=True)
    stage.holds(scene, "logged in with three factors", done.status == 200)
    stage.holds(scene, "FaceID is registered", (await app.register_key()).status == 200)
    await _pays(stage, scene, bank, replace(ana, token=app.phone.access_token))
    again = await app.log_in()
    stage.holds(scene, "the next login signs with FaceID", again.status == 200)
    await _refreshes(stage, scene, app)
    scene.facts |= {"status": done.status, "expires in s": done.body.get("expiresIn")}


def text_message(stage: Stage, text: str) -> None:
    """Print a text message as the telephone shows it, line by line."""
    heading = f"{'':12}SMS: "
    first, *others = text.split("\n")
    lines = [heading + first, *(" " * len(heading) + other for other in others)]
    stage.console.print(shown(lines, "magenta"))


async def _pays(stage: Stage, scene: Scene, bank: BankClient, ana: Customer) -> None:
    paid = await bank.pay(ana, AMOUNT)
    stage.arrow(scene, "app", "gateway", "POST /v1/transfers/interbank with that token")
    stage.arrow(scene, "app", "gateway", f"{paid.status} {paid.body.get('state')}", back=True)
    stage.holds(scene, "the token pays", paid.body.get("state") == "SUBMITTED")


async def _refreshes(stage: Stage, scene: Scene, app: App) -> None:
    old = app.phone.refresh_token
    first = await app.refresh()
    again = await app.refresh(old)
    stage.arrow(scene, "app", "gateway", "POST /v1/auth/refresh, and the answer is lost")
    same = first.status == 200 and first.body == again.body
    stage.holds(scene, "the old token gets the same new tokens for 30 s", same)


async def locked_out(stage: Stage, bank: BankClient) -> None:
    """An attacker tries passwords; the owner still gets in, and a stolen session ends at once."""
    scene = stage.begin(
        "An attacker is locked out, the owner is not",
        "An attacker tries passwords of Ana's account from a new device until the bank refuses to "
        "check them. Ana's own phone is judged by its own tries. Her logout ends the session at "
        "every service within seconds.",
    )
    ana = await bank.customer(OPENING)
    app = await App.of(bank, ana, "Ana's phone")
    await app.log_in()
    attacker = await App.of(bank, ana, "Attacker")
    answers = await asyncio.gather(*(attacker.login(f"wrong {n}") for n in range(ATTACKERS)))
    refused = [answer.reason for answer in answers]
    stage.arrow(scene, "attacker", "gateway", f"{ATTACKERS} wrong passwords")
    looked_at = refused.count("CREDENTIALS_INVALID")
    locked = refused.count("TRIES_EXHAUSTED")
    stage.holds(scene, f"{looked_at} tries were checked, {locked} were not", locked > 0)
    right = await attacker.login()
    stage.holds(scene, "now even the right password fails there", right.status == 429)
    stage.phone((await bank.pushed(ana, 2))[-1])
    own = await app.log_in()
    stage.arrow(scene, "Ana", "gateway", f"logs in with her own phone: {own.status}")
    stage.holds(scene, "the owner still gets in", own.status == 200)
    stage.holds(scene, "her token works", (await app.get("/v1/accounts")).status == 200)
    await app.log_out()
    ended = [await _ends(app, path) for path in READS.values()]
    stage.holds(scene, "after her logout every service refuses the token", all(ended))
    scene.facts |= {"checked": looked_at, "refused unchecked": locked, "owner": own.status}


async def _ends(app: App, path: str) -> bool:
    """Read a path until its service refuses the token, at most ten seconds; return whether it
    did."""
    for _ in range(100):
        if (await app.get(path)).status == 401:
            return True
        await asyncio.sleep(0.1)
    return False
