"""Process entry of the customers service."""

from services.chassis import grpc_server
from services.customers import bootstrap
from services.customers.settings import CustomersSettings

if __name__ == "__main__":
    settings = CustomersSettings()  # pyright: ignore[reportCallIssue] - from the environment
    grpc_server.run(settings, lambda _, stop: bootstrap.main(settings, stop))
