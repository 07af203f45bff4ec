"""Settings of the one-machine stack: which parts are real addresses instead of local processes.

Read from BP_STACK_* variables. An empty address means that the stack starts the part itself.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from ops.waiting import scaled_s


class StackSettings(BaseSettings):
    """What may differ between two machines."""

    model_config = SettingsConfigDict(env_prefix="BP_STACK_")

    kafka_bootstrap: str = ""
    """host:port of a Kafka cluster to use instead of a local broker."""

    kafka_heap_mib: int = 512
    """Heap of the local broker."""

    kafka_libs: Path | None = None
    """Folder with Kafka's jars; default: copied once beside the virtual environment's packages."""

    failed_starts_max: int = 5
    """Starts in a row that a process may fail before `up` gives it up."""

    silent_s_max: float = Field(default_factory=lambda: scaled_s(30))
    """A service that answers no health question for this long is killed and started again;
    0: never."""

    settlement_wait_s: float = 0.0
    """How long payments waits for a notice before it asks the clearing house; 0: its default."""

    postgres_address: str = ""
    """host:port of a PostgreSQL to use instead of a local one; superuser `postgres`, password in
    BP_HOME/secrets/seed.json under `postgres_superuser`."""

    openbao_addr: str = ""
    """http(s)://host:port of an unsealed OpenBao or Vault; needs `openbao_token_file`."""

    openbao_token_file: Path | None = None
    """File with a token that may set the external OpenBao up."""
