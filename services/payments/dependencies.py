"""What the handlers of the payments service need."""

from dataclasses import dataclass

from services.chassis.customers_client import CustomersClient
from services.chassis.page_tokens import PageTokens
from services.chassis.wait_limit import WaitLimit
from services.payments.checks import Limits
from services.payments.driver import Driver
from services.payments.partners.ach import AchClient
from services.payments.partners.fraud import FraudClient
from services.payments.settings import PaymentsSettings
from services.payments.store import Store
from services.payments.webhook_secrets import WebhookSecrets


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The dependencies of the handlers."""

    settings: PaymentsSettings
    store: Store
    driver: Driver
    ach: AchClient
    fraud: FraudClient
    customers: CustomersClient
    limits: Limits
    """The limits from the settings, in the form that checks.py expects."""
    waits: WaitLimit
    tokens: PageTokens
    webhook_secrets: WebhookSecrets
    """The keys that the clearing house signs its notices with."""
