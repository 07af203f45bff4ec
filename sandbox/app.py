"""The mobile app of one customer: it sends what a telephone sends, and keeps the tokens.

The text message comes from the outbox of the SMS gateway, as a telephone would show it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any

from ops.waiting import until
from sandbox.client import Answer, BankClient, Customer, LoginIdentity
from sandbox.phone import Phone
from sandbox.seed import faces

ORIGIN = "https://app.bp.example"
NO_ID = "00000000-0000-7000-8000-000000000000"
READS = {
    "auth": "/v1/auth/sessions",
    "customers": "/v1/accounts",
    "notifications": "/v1/notifications",
    "payments": f"/v1/transfers/interbank/{NO_ID}",
    "transfers": f"/v1/transfers/internal/{NO_ID}",
}
"""Service -> a path that it serves to a customer with a token: all services that a token reaches.
The last two answer 404."""
_CODE = re.compile(r"#(\d{6})$")


class App:
    """The app on one telephone."""

    def __init__(
        self, bank: BankClient, identity: LoginIdentity, face: str, device_name: str = "Phone"
    ) -> None:
        """`face` is the name of the customer's face in sandbox/seed/faces.py."""
        self.bank = bank
        self.identity = identity
        self.face = face
        self.phone = Phone(device_name)

    @classmethod
    async def of(cls, bank: BankClient, customer: Customer, device_name: str = "Phone") -> App:
        """Return a new telephone of a customer, who gets a login if there is none yet."""
        identity = await bank.login_identity(customer)
        return cls(bank, identity, customer.user_name, device_name)

    async def login(self, password: str = "", email: str = "") -> Answer:
        """Send the first factor."""
        body = {
            "email": email or self.identity.email,
            "password": password or self.identity.password,
        }
        if self.phone.device_token:
            body["deviceToken"] = self.phone.device_token
        return await self.post("login", body)

    async def texts(self) -> list[dict[str, Any]]:
        """Return the text messages of the customer's telephone, newest last."""
        number = self.identity.phone.replace("+", "%2B")
        answer = await self.bank.control("sms", "GET", f"/control/messages?to={number}&limit=100")
        return answer.body["messages"]

    async def code(self, after: int = 0) -> str:
        """Wait for a text message after the first `after` ones; return its code."""

        async def sent() -> str | None:
            texts = await self.texts()
            return code_in(texts[-1]["body"]) if len(texts) > after else None

        return await until(sent, 30, "a code by text message")

    async def verify_otp(self, session_id: str, otp: str, **more: str) -> Answer:
        """Send the second factor."""
        return await self.post("verify-otp", {"sessionId": session_id, "otp": otp, **more})

    async def show_face(
        self, liveness_session_id: str, face: str = "", kind: faces.Kind = "live"
    ) -> None:
        """Look into the camera: the liveness check, which the telephone sends to AWS itself."""
        picture = faces.picture(face or self.face, pose=1, kind=kind)
        await self.bank.show_camera(liveness_session_id, picture)

    async def send_face(self, session_id: str, face: str = "", kind: faces.Kind = "live") -> Answer:
        """Send the third factor: a picture."""
        picture = faces.picture(face or self.face, pose=2, kind=kind)
        data = {"face": {"picture": b64encode(picture).decode()}}
        return await self._biometric(session_id, data)

    async def sign(self, session_id: str, challenge: str) -> Answer:
        """Send the third factor: the signature of the telephone's key."""
        signed = self.phone.recognise(challenge)
        assertion = {
            "credentialId": signed.credential_id,
            "clientDataJson": signed.client_data_json,
            "authenticatorData": signed.authenticator_data,
            "signature": signed.signature,
        }
        return await self._biometric(session_id, {"assertion": assertion})

    async def _biometric(self, session_id: str, data: dict[str, Any]) -> Answer:
        body = {
            "sessionId": session_id,
            "biometricData": data,
            "deviceName": self.phone.device_name,
        }
        answer = await self.post("biometric", body)
        self._keep(answer)
        return answer

    async def log_in(self) -> Answer:
        """Log in with all three factors; return the answer with the tokens, or the first error."""
        before = len(await self.texts())
        started = await self.login()
        if started.status != 200:
            return started
        session_id = started.body["sessionId"]
        asked = await self.verify_otp(session_id, await self.code(before))
        if asked.status != 200:
            return asked
        return await self.answer_biometric(session_id, asked)

    async def answer_biometric(self, session_id: str, asked: Answer) -> Answer:
        """Send the third factor that the answer of the second one asks for."""
        if asked.body["biometricMethod"] == "DEVICE_KEY":
            return await self.sign(session_id, asked.body["deviceKeyChallenge"]["challenge"])
        await self.show_face(asked.body["livenessSessionId"])
        return await self.send_face(session_id)

    async def step_up(self) -> Answer:
        """Present the second and third factor again; keep the new access token."""
        before = len(await self.texts())
        started = await self.begin_step_up()
        if started.status != 200:
            return started
        session_id = started.body["sessionId"]
        asked = await self.verify_otp(session_id, await self.code(before))
        return asked if asked.status != 200 else await self.answer_biometric(session_id, asked)

    async def begin_step_up(self) -> Answer:
        """Ask for the second factor again."""
        body = {"deviceToken": self.phone.device_token}
        return await self.post("step-up", body, token=self.phone.access_token)

    async def register_key(self) -> Answer:
        """Register FaceID or TouchID of this telephone."""
        options = await self.post("devices:challenge", {}, token=self.phone.access_token)
        made = self.phone.new_key(options.body["rpId"], ORIGIN, options.body["challenge"])
        body = {
            "credentialId": made.credential_id,
            "clientDataJson": made.client_data_json,
            "attestationObject": made.attestation_object,
        }
        return await self.post("devices:registerKey", body, token=self.phone.access_token)

    async def refresh(self, refresh_token: str = "") -> Answer:
        """Replace the tokens; with an older refresh token, keep nothing of the answer."""
        body = {
            "refreshToken": refresh_token or self.phone.refresh_token,
            "deviceToken": self.phone.device_token,
        }
        answer = await self.post("refresh", body)
        if not refresh_token:
            self._keep(answer)
        return answer

    async def log_out(self) -> Answer:
        """End the session."""
        return await self.post("logout", {}, token=self.phone.access_token)

    async def get(self, path: str) -> Answer:
        """Read something with the telephone's access token."""
        return await self.bank.call("GET", path, self.phone.access_token)

    async def post(self, name: str, body: dict[str, Any], token: str = "") -> Answer:
        """Call `/v1/auth/<name>`."""
        return await self.bank.call("POST", f"/v1/auth/{name}", token, body)

    def _keep(self, answer: Answer) -> None:
        if answer.status == 200:
            self.phone.keep(
                answer.body["accessToken"],
                answer.body.get("refreshToken", ""),
                answer.body.get("deviceToken", ""),
            )


def code_in(text: str) -> str | None:
    """Return the code at the end of a text message; None if there is none."""
    found = _CODE.search(text)
    return found[1] if found else None
