"""The texts that customers read, in Spanish and English, and the format of amounts. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.kernel.money import Money

DEFAULT_LOCALE = "es"


@dataclass(frozen=True, slots=True)
class Text:
    """Title and body; `{amount}` and `{code}` become the event's amount and return code."""

    title: str
    body: str


TEXTS: Mapping[str, Mapping[str, Text]] = {
    "TRANSFER_SUBMITTED": {
        "es": Text("Transferencia enviada", "Tu transferencia de {amount} está en camino."),
        "en": Text("Transfer sent", "Your transfer of {amount} is on its way."),
    },
    "TRANSFER_COMPLETED": {
        "es": Text(
            "Transferencia completada", "Tu transferencia de {amount} llegó al banco de destino."
        ),
        "en": Text(
            "Transfer completed", "Your transfer of {amount} reached the beneficiary's bank."
        ),
    },
    "TRANSFER_FAILED": {
        "es": Text(
            "Transferencia fallida",
            "No pudimos completar tu transferencia de {amount}. El dinero está en tu cuenta.",
        ),
        "en": Text(
            "Transfer failed",
            "We could not complete your transfer of {amount}. The money is in your account.",
        ),
    },
    "TRANSFER_RETURNED": {
        "es": Text(
            "Transferencia devuelta",
            "El banco de destino devolvió tu transferencia de {amount}{code}. "
            "El dinero está en tu cuenta.",
        ),
        "en": Text(
            "Transfer returned",
            "The beneficiary's bank returned your transfer of {amount}{code}. "
            "The money is in your account.",
        ),
    },
    "TRANSFER_CANCELLED": {
        "es": Text(
            "Transferencia cancelada",
            "Tu transferencia de {amount} fue cancelada. El dinero está en tu cuenta.",
        ),
        "en": Text(
            "Transfer cancelled",
            "Your transfer of {amount} was cancelled. The money is in your account.",
        ),
    },
    "TRANSFER_RECEIVED": {
        "es": Text("Dinero recibido", "Recibiste {amount}."),
        "en": Text("Money received", "You received {amount}."),
    },
    "TRANSFER_SENT": {
        "es": Text("Dinero enviado", "Enviaste {amount}."),
        "en": Text("Money sent", "You sent {amount}."),
    },
}
"""Name in bp.notifications.v1.Template -> locale -> text."""


def render(template: str, locale: str, amount: Money, reason: str) -> Text:
    """Return the text with its amount, and with the return code if the text has `{code}`.

    Raises KeyError for a template without texts. The bank's own reasons are not shown, because they
    are for operators.
    """
    text = TEXTS[template][locale]
    shown = amount_text(amount, locale)
    code = f" ({reason})" if reason else ""
    return Text(text.title, text.body.format(amount=shown, code=code))


def amount_text(amount: Money, locale: str) -> str:
    """Return an amount as the language writes it: "1.234,56 USD" or "USD 1,234.56"."""
    whole, minor = divmod(abs(amount.minor_units), 100)
    sign = "-" if amount.minor_units < 0 else ""
    if locale == "es":
        grouped = f"{whole:,}".replace(",", ".")
        return f"{sign}{grouped},{minor:02d} {amount.currency}"
    return f"{amount.currency} {sign}{whole:,}.{minor:02d}"
