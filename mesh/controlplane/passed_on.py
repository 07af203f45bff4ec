"""Text that SREs write in Envoy's own language; `translate` gets it in addition to the model.

The control plane passes it on unchanged, so the model contains no Envoy language. Only
ingest/expression.py reads it, to refuse an expression that can never be true.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PassedOn:
    """Expressions for Envoy, exactly as they are in config/."""

    log_filter: str
    """CEL over a request and its response; true means that the access log gets a line."""
    of_workloads: tuple[tuple[str, str], ...] = ()
    """Workloads whose log filter is another one, by name."""

    def log_filter_of(self, workload: str) -> str:
        """Return the log filter of one workload's proxy."""
        return dict(self.of_workloads).get(workload, self.log_filter)
