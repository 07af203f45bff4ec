"""Process entry of the customers service."""

from services.chassis import grpc_server
from services.customers import bootstrap
from services.customers.settings import CustomersSettings

if __name__ == "__main__":
    grpc_server.run(CustomersSettings(), bootstrap.main)  # pyright: ignore[reportCallIssue]
