"""Process entry: `python -m services.router`."""

from services.chassis import grpc_server
from services.router import bootstrap
from services.router.settings import RouterSettings

if __name__ == "__main__":
    settings = RouterSettings()  # pyright: ignore[reportCallIssue] - from the environment
    grpc_server.run(settings, lambda _, stop: bootstrap.main(settings, stop))
