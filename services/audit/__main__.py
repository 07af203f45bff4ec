"""Process entry: `python -m services.audit`."""

from services.audit import bootstrap
from services.audit.settings import AuditSettings
from services.chassis import grpc_server

if __name__ == "__main__":
    settings = AuditSettings()  # pyright: ignore[reportCallIssue] - from the environment
    grpc_server.run(settings, lambda _, stop: bootstrap.main(settings, stop))
