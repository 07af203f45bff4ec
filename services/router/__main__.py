"""Process entry of the router."""

from services.chassis import grpc_server
from services.router import bootstrap
from services.router.settings import Settings

if __name__ == "__main__":
    grpc_server.run(Settings(), bootstrap.main)  # pyright: ignore[reportCallIssue] - from the environment
