"""What SREs write in a language that Envoy itself reads, handed to `translate` beside the model.

The control plane passes it on unread. So every expression that Envoy takes works, and the model
stays free of Envoy's language.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PassedOn:
    """Expressions for Envoy, exactly as config/ has them."""

    log_filter: str
    """CEL over a request and its response; true means that the access log gets a line."""
