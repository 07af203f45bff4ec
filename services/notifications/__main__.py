"""Process entry: `python -m services.notifications`."""

from services.chassis import grpc_server
from services.notifications import bootstrap
from services.notifications.settings import NotificationsSettings

if __name__ == "__main__":
    settings = NotificationsSettings()  # pyright: ignore[reportCallIssue] - from the environment
    grpc_server.run(settings, lambda _, stop: bootstrap.main(settings, stop))
