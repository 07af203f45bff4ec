"""Process entry of the auth service."""

from services.auth import bootstrap
from services.auth.settings import AuthSettings
from services.chassis import grpc_server

if __name__ == "__main__":
    settings = AuthSettings()  # pyright: ignore[reportCallIssue] - from the environment
    grpc_server.run(settings, lambda _, stop: bootstrap.main(settings, stop))
