"""The contract of one method in proto/, as plain frozen values.

Values only: `reader` fills them from the options, and other packages read them.
"""

from dataclasses import dataclass
from enum import StrEnum

from google.protobuf.descriptor import Descriptor


class Audience(StrEnum):
    """Who may call a method; the names of bp.policy.v1.Audience."""

    PUBLIC = "PUBLIC"
    CUSTOMER = "CUSTOMER"
    PARTNER = "PARTNER"
    INTERNAL = "INTERNAL"


class ContractError(ValueError):
    """The policy of a method is missing, incomplete or contradictory. Correct it in proto/."""

    def __init__(self, method: str, problem: str) -> None:
        super().__init__(f"{method}: {problem}")
        self.method = method
        self.problem = problem


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """One REST route of a method, as google.api.http has it."""

    verb: str
    """GET, POST, PUT, PATCH or DELETE."""
    path: str
    """Template such as "/v1/transfers/interbank/{transfer_id}:cancel"."""
    body: str
    """Field that the body fills; "*" for all fields that the path does not set, empty for none."""
    response_body: str
    """Field of the response that is the body; empty for the whole response."""


@dataclass(frozen=True, slots=True)
class StepUpRule:
    """Which requests of a method need a second factor that the customer presented recently."""

    max_age_ms: int
    """Longest time since the customer presented a second factor."""
    new_beneficiary: bool
    """Whether the first payment to a beneficiary needs it."""
    above_minor_units: int
    """Amounts above this need it; 0 means no limit."""
    always: bool = False
    """Whether every request needs it."""


@dataclass(frozen=True, slots=True)
class MethodContract:
    """The contract of one method: its address, policy, routes and messages."""

    path: str
    """Full gRPC path, "/bp.payments.v1.PaymentsService/CreateInterbankTransfer"."""
    audience: Audience
    scopes: tuple[str, ...]
    """OAuth scopes; a customer's token must hold all of them."""
    partners: tuple[str, ...]
    services: tuple[str, ...]
    """Service accounts that may call from inside the mesh, in addition to the gateway."""
    deadline_ms: int
    rate_limit_class: str
    """READ, WRITE, WEBHOOK, LOGIN, OTP or MESH."""
    idempotency_key_required: bool
    step_up: StepUpRule | None
    """None for a method that never needs a recent second factor."""
    body_bytes_max: int
    """Largest body at the gateway; 0 means the gateway's limit for all methods."""
    http: tuple[HttpRoute, ...]
    request: Descriptor
    response: Descriptor

    @property
    def service(self) -> str:
        """Full name of the gRPC service, "bp.payments.v1.PaymentsService"."""
        return self.path[1:].partition("/")[0]

    @property
    def deployable(self) -> str:
        """Name of the deployable that serves the method: the domain in the package, "payments"."""
        return self.service.split(".")[1]

    @property
    def name(self) -> str:
        """The method alone, "CreateInterbankTransfer"."""
        return self.path.rpartition("/")[2]
