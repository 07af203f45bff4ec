"""The stack provisions and uses an external store, and starts no process for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.stack.testing import RunningStack


def test_named_addresses_replace_the_local_stores(
    stack_kafka: RunningStack,
    stack_openbao: RunningStack,
    stack_postgres: RunningStack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = stack_kafka.addresses
    keys = json.loads(Path(where["BP_OPENBAO_KEYS_FILE"]).read_text())
    token_file = tmp_path / "token"
    token_file.write_text(keys["root_token"])
    monkeypatch.setenv("BP_STACK_KAFKA_BOOTSTRAP", where["BP_KAFKA_BOOTSTRAP"])
    monkeypatch.setenv("BP_STACK_OPENBAO_ADDR", where["BP_OPENBAO_ADDR"])
    monkeypatch.setenv("BP_STACK_OPENBAO_TOKEN_FILE", str(token_file))
    address = f"{where['BP_POSTGRES_HOST']}:{where['BP_POSTGRES_PORT']}"
    monkeypatch.setenv("BP_STACK_POSTGRES_ADDRESS", address)

    # The home needs the external superuser's password, as `postgres_address` requires.
    second = tmp_path / "home"
    (second / "secrets").mkdir(parents=True)
    seed = (stack_openbao.home.secrets / "seed.json").read_text()
    (second / "secrets" / "seed.json").write_text(seed)
    running = RunningStack.open(second)
    try:
        running.ensure("topics", "openbao", "databases")
        assert running.addresses["BP_KAFKA_BOOTSTRAP"] == where["BP_KAFKA_BOOTSTRAP"]
        assert {running.pid(name) for name in ("kafka", "openbao", "postgres")} == {None}
    finally:
        running.down()
