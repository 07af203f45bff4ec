"""Process entry of the payments service."""

from services.chassis import grpc_server
from services.payments import bootstrap
from services.payments.settings import PaymentsSettings

if __name__ == "__main__":
    settings = PaymentsSettings()  # pyright: ignore[reportCallIssue] - from the environment
    grpc_server.run(settings, lambda _, stop: bootstrap.main(settings, stop))
