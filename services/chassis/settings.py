"""Settings that the platform gives a service process, read once from the environment (BP_…).

Addresses and paths only: secrets come from OpenBao, by reference.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)


class ServiceSettings(BaseSettings):
    """Settings that each service has; a service's own class adds more."""

    model_config = SettingsConfigDict(env_prefix="BP_", extra="ignore", frozen=True)

    former_names: ClassVar[Mapping[str, str]] = {
        "pool_connections": "BP_POOL_SIZE",
        "batch_interval_ms": "BP_GROUP_EVERY_MS",
        "batch_items_max": "BP_GROUP_ITEMS_MAX",
        "batches_max": "BP_GROUPS_MAX",
    }
    """Setting -> its variable in the previous version. A former name is read while the current one
    is not set, so that two neighbouring versions run with the same environment."""

    service: str
    """Name of the service, its identity in the mesh and in OpenBao."""
    slot: str = "0"
    """Index of this worker process among the service's workers."""
    home: Path
    """State directory of the machine."""
    socket_in: Path
    """Unix socket on which the gRPC server listens, for the sidecar alone."""
    socket_out: Path | None = None
    """The sidecar's Unix socket for calls to other services and to partners."""
    openbao_addr: str
    """URL of OpenBao, or `unix://` and the path of its socket on one machine."""
    service_account_token_file: Path
    """JWT of the service account, as Kubernetes projects it."""
    valkey_socket: Path | None = None
    """Valkey's Unix socket; None for a service that does not use Valkey."""
    kafka_bootstrap: str = ""
    """Kafka's bootstrap servers; empty for a service that has no topic."""
    rejoin_s_max: float = 30
    """How long a consumer may be outside its group while Kafka answers, before the process ends."""
    log_level: str = "INFO"
    """Lowest level that is logged."""
    pool_connections: int = 8
    """Database connections of this process. A large pool is slower: its connections queue for a hot
    row."""
    calls_max: int = Field(default=1024, ge=1)
    """The largest number of calls of one audience (customers, partners, services) that this process
    serves at once; the others get RATE_LIMITED. So customers cannot take the places of other
    services."""
    waits_per_customer_max: int = Field(default=32, ge=1)
    """The largest number of one customer's calls that wait in this process at once, for a position
    or for the outcome of a transfer. A call beyond it is answered as if its wait had ended."""
    batch_interval_ms: float = 10
    """Time between the starts of two batches of calls that are saved together. A call that finds no
    other call waiting starts at once. Consumers of Kafka have `batch_linger_ms` instead."""
    batch_items_max: int = Field(default=64, ge=1, le=100)
    """The largest number of calls in one batch; customers' BatchCheckDebits takes 100."""
    batches_max: int = Field(default=2, ge=1)
    """The largest number of batches in flight at once; each takes a connection of the pool."""

    @property
    def waits_max(self) -> int:
        """The largest number of calls of all customers that wait in this process at once.

        It is half of `calls_max`, so the other half stays free for calls that do not wait.
        """
        return self.calls_max // 2

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment, then former names in the environment."""
        former = {**ServiceSettings.former_names, **cls.former_names}
        given = {name: os.environ[old] for name, old in former.items() if old in os.environ}
        return init_settings, env_settings, InitSettingsSource(settings_cls, given)
