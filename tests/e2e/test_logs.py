"""The logs of the bank's processes hold no personal data and no secrets."""

from typing import Any

from lab.fuzz.log_leaks import find_leaks
from ops.provision.roster import SERVICES
from tests.rigs.running_bank import Bank, Customer

PERSONAL = {"name": "Zenobia Quill", "accountNumber": "7301958264"}
MEMO = "for the harpsichord"


async def ask(bank: Bank, payer: Customer, **changes: Any) -> None:
    """Request a transfer whose words appear nowhere else."""
    body = {
        "accountId": str(payer.account_id),
        "amount": {"currencyCode": "USD", "minorUnits": "1000"},
        "beneficiary": {"routingNumber": "021000021", "accountType": "CHECKING"} | PERSONAL,
        "memo": MEMO,
    } | changes
    headers = {"Idempotency-Key": "a-key-for-the-logs"}
    await bank.call("POST", "/v1/transfers/interbank", payer.token, body, headers)


async def test_no_log_of_the_bank_holds_personal_data_or_a_secret(bank: Bank) -> None:
    payer = await bank.customer()
    await ask(bank, payer, surprise=1)
    await ask(bank, payer, amount={"currencyCode": "USD", "minorUnits": "99999999"})
    await bank.fault("ach", kind="reset", endpoint="POST /ach/transfer")
    await ask(bank, payer)
    await bank.clear_faults("ach")
    await ask(bank, payer)
    await bank.pushed(payer, 2)
    seed = bank.stack.credentials
    secrets = (seed.ach_api_key, seed.ach_webhook_secret, seed.fraud_bearer_token)
    roles = [seed.role_password(service.role) for service in SERVICES]
    words = (*PERSONAL.values(), MEMO, payer.token, payer.user_name, *secrets, *roles)
    found = find_leaks(bank.stack, words)
    assert not found, found
