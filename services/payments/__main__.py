"""Process entry: `python -m services.payments`."""

from services.chassis.grpc_server import run
from services.payments import bootstrap
from services.payments.settings import PaymentsSettings

if __name__ == "__main__":
    run(PaymentsSettings(), bootstrap.main)  # type: ignore[call-arg, arg-type]
