"""Settings of the one-machine stack, such as external addresses that replace local processes.

Read from BP_STACK_* variables. An empty address means that the stack starts the part itself.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from ops.waiting import scaled_s


class StackSettings(BaseSettings):
    """The settings that may differ between machines."""

    model_config = SettingsConfigDict(env_prefix="BP_STACK_")

    kafka_bootstrap: str = ""
    """host:port of a Kafka cluster to use instead of a local broker."""

    kafka_heap_mib: int = 512
    """Heap of the local broker."""

    kafka_libs: Path | None = None
    """Folder with Kafka's jars; by default copied once into the virtual environment."""

    failed_starts_max: int = 5
    """Consecutive failed starts after which `up` gives a process up."""

    silent_s_max: float = Field(default_factory=lambda: scaled_s(30))
    """A service that answers no health check for this long is killed and restarted; 0: never."""

    settlement_wait_s: float = 0.0
    """How long payments waits for a notice before it asks the clearing house; 0: its default."""

    bcrypt_cost: int = 12
    """The cost of a password's hash. Tests that log in often use a lower one: at 12, a hash takes a
    second and more while other processes use all cores."""

    postgres_address: str = ""
    """host:port of a PostgreSQL to use instead of a local one, or the socket's folder:port.
    Superuser `postgres`, password in BP_HOME/secrets/seed.json under `postgres_superuser`."""

    openbao_addr: str = ""
    """http(s)://host:port of an unsealed OpenBao or Vault; needs `openbao_token_file`."""

    openbao_token_file: Path | None = None
    """File with a token that may provision the external OpenBao."""
