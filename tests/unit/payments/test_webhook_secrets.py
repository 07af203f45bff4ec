"""The secrets of the webhook change while the process runs."""

from collections.abc import Mapping

import hvac.exceptions

from services.payments.webhook_secrets import AFTER_REFUSAL_S, WebhookSecrets


class _Rotation:
    """A secret that an operator changes, and a clock."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {"api_key": "k", "webhook_secret": "old"}
        self.fault: Exception | None = None
        self.reads = 0
        self.time_s = 0.0

    async def read(self) -> Mapping[str, str]:
        self.reads += 1
        if self.fault:
            raise self.fault
        return dict(self.fields)

    def secrets(self) -> WebhookSecrets:
        return WebhookSecrets(dict(self.fields), self.read, lambda: self.time_s)


async def test_a_rotation_overlaps_and_ends_without_a_restart() -> None:
    vault = _Rotation()
    secrets = vault.secrets()
    assert secrets.valid == (b"old",)
    vault.fields["webhook_secret_next"] = "new"
    await secrets.refresh()
    assert set(secrets.valid) == {b"old", b"new"}
    del vault.fields["webhook_secret_next"]
    vault.fields["webhook_secret"] = "new"
    await secrets.refresh()
    assert secrets.valid == (b"new",)


async def test_a_refused_signature_reads_the_secrets_at_once_but_not_each_time() -> None:
    vault = _Rotation()
    secrets = vault.secrets()
    vault.fields["webhook_secret"] = "new"
    vault.time_s += AFTER_REFUSAL_S
    assert await secrets.refresh_after_refusal()
    assert secrets.valid == (b"new",)
    for _ in range(3):
        assert not await secrets.refresh_after_refusal()
    assert vault.reads == 1


async def test_an_outage_or_a_missing_secret_keeps_the_known_secrets() -> None:
    vault = _Rotation()
    secrets = vault.secrets()
    for fault in (hvac.exceptions.Forbidden(), ConnectionError()):
        vault.fault = fault
        await secrets.refresh()
    vault.fault, vault.fields = None, {"webhook_secret": ""}
    await secrets.refresh()
    assert secrets.valid == (b"old",)
