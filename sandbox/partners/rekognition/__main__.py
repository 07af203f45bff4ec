"""`python -m sandbox.partners.rekognition --config FILE.json`: Amazon Rekognition as a process."""

from aiohttp import web

from sandbox.partners.control import control_app
from sandbox.partners.faults import Dialect, Faults, Refusal
from sandbox.partners.rekognition.api import Rekognition, operation
from sandbox.partners.rekognition.errors import refused
from sandbox.partners.rekognition.liveness import Sessions
from sandbox.partners.rekognition.signatures import Key
from sandbox.partners.server import Partner, main
from sandbox.partners.settings import RekognitionSettings

REQUEST_BYTES_MAX = 15 * 1024 * 1024
"""Two pictures of 5 MB in base64, and a little more."""
AWS = Dialect(
    endpoint=lambda request: f"{request.method} {operation(request)}",
    error=lambda refusal: refused(refusal.status, refusal.code, refusal.message),
    unavailable=Refusal(500, "InternalServerError", "Internal server error"),
    rejected=Refusal(400, "ThrottlingException", "Rate exceeded"),
)


def build(settings: RekognitionSettings) -> Partner:
    """Wire Rekognition. Its only state is liveness sessions in memory."""
    key = Key(settings.access_key_id, settings.secret_access_key, settings.region)
    faults = Faults(dialect=AWS)
    rekognition = Rekognition(key, Sessions(settings.liveness_ttl_s))
    app = web.Application(
        middlewares=[rekognition.guard, faults.middleware], client_max_size=REQUEST_BYTES_MAX
    )
    app.router.add_post("/", rekognition.call)
    app.router.add_post("/liveness/{id}", rekognition.upload)
    return Partner(app=app, control=control_app("rekognition", faults, rekognition.counts))


if __name__ == "__main__":
    main("rekognition", RekognitionSettings, build)
