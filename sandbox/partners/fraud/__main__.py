"""`python -m sandbox.partners.fraud --config FILE.json`: the fraud scoring API as a process."""

import hmac
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.partners.control import control_app
from sandbox.partners.faults import Faults
from sandbox.partners.fraud.rules import Thresholds, judge
from sandbox.partners.server import REQUEST_BYTES_MAX, Partner, answer, main
from sandbox.partners.settings import FraudSettings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Id = Annotated[str, Field(min_length=1, max_length=64)]


class _Amount(BaseModel):
    """Minor units as a number or as proto3's decimal text."""

    model_config = ConfigDict(populate_by_name=True)
    minor_units: int = Field(alias="minorUnits", ge=0)


class _Question(BaseModel):
    """Body of POST /v1/score; fields that no rule reads are ignored."""

    model_config = ConfigDict(populate_by_name=True)
    transaction_id: Id = Field(alias="transactionId")
    customer_id: Id = Field(alias="customerId")
    account_id: Id = Field(alias="accountId")
    amount: _Amount
    beneficiary: dict[str, Any] = Field(default_factory=dict)
    channel: str = ""


class _Scorer:
    def __init__(self, settings: FraudSettings) -> None:
        self._token = f"Bearer {settings.bearer_token}".encode()
        self._thresholds = Thresholds(settings.review_minor_units, settings.decline_minor_units)
        self._decisions: Counter[str] = Counter()

    def counts(self) -> dict[str, Any]:
        return {"decisions": dict(self._decisions)}

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, self._token):
            refusal = _refused(401, "UNAUTHENTICATED", "a valid bearer token is required")
            refusal.headers["WWW-Authenticate"] = 'Bearer realm="fraud.example"'
            return refusal
        return await handler(request)

    async def score(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = _Question.model_validate_json(await request.read())
        except ValidationError as error:
            return _refused(400, "INVALID_REQUEST", str(error))
        verdict = judge(
            asked.amount.minor_units, asked.beneficiary, asked.channel, self._thresholds
        )
        self._decisions[verdict.decision] += 1
        return answer(
            {
                "transactionId": asked.transaction_id,
                "score": verdict.score,
                "decision": verdict.decision,
                "reasons": verdict.reasons,
            }
        )


def _refused(status: int, code: str, message: str) -> web.Response:
    return answer({"error": {"code": code, "message": message}}, status)


def build(settings: FraudSettings) -> Partner:
    """Wire the fraud API. Its only state is counters."""
    faults, scorer = Faults(), _Scorer(settings)
    app = web.Application(
        middlewares=[scorer.guard, faults.middleware], client_max_size=REQUEST_BYTES_MAX
    )
    app.router.add_post("/v1/score", scorer.score)
    return Partner(app=app, control=control_app("fraud", faults, scorer.counts))


if __name__ == "__main__":
    main("fraud", FraudSettings, build)
