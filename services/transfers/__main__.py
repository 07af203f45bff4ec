"""Process entry of the transfers service."""

from services.chassis import grpc_server
from services.transfers import bootstrap
from services.transfers.settings import TransfersSettings

if __name__ == "__main__":
    settings = TransfersSettings()  # pyright: ignore[reportCallIssue] - from the environment
    grpc_server.run(settings, lambda _, stop: bootstrap.main(settings, stop))
