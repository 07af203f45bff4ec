"""Entry of the relay: `python -m services.relay`."""

from services.chassis.grpc_server import run
from services.relay.bootstrap import main
from services.relay.settings import RelaySettings

if __name__ == "__main__":
    run(RelaySettings(), main)  # pyright: ignore[reportCallIssue, reportArgumentType]
