"""The texts that customers read, in Spanish and English, and the format of amounts. Pure.

The words for codes and devices are in words.py. No text contains a secret, an address or a link.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.kernel.money import Money
from services.notifications import words

DEFAULT_LOCALE = "es"


@dataclass(frozen=True, slots=True)
class Text:
    """Title and body. In the body, `{amount}` and `{code}` become the event's amount and return
    code, `{device}`, `{factor}` and `{origin}` the words for its device, factor and lock."""

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
    "NEW_DEVICE": {
        "es": Text(
            "Nuevo dispositivo",
            "Entraste por primera vez con {device}. Si no fuiste tú, cambia tu contraseña.",
        ),
        "en": Text(
            "New device",
            "You logged in with {device} for the first time. "
            "If it was not you, change your password.",
        ),
    },
    "LOGIN_LOCKED": {
        "es": Text(
            "Acceso bloqueado por un tiempo",
            "Hubo demasiados intentos fallidos desde {origin}, y por un tiempo bloqueamos los "
            "intentos desde allí. En tus otros dispositivos puedes entrar como siempre.",
        ),
        "en": Text(
            "Login blocked for a while",
            "Too many tries from {origin} failed, so we block further tries from there for a "
            "while. You can log in on your other devices as usual.",
        ),
    },
    "TOKEN_REUSED": {
        "es": Text(
            "Sesión cerrada",
            "Alguien pudo copiar tu sesión en {device}, y por eso la cerramos. "
            "Entra de nuevo y cambia tu contraseña.",
        ),
        "en": Text(
            "Session ended",
            "Your session on {device} may have been copied, so we ended it. "
            "Log in again and change your password.",
        ),
    },
    "PASSWORD_CHANGED": {
        "es": Text(
            "Contraseña cambiada",
            "Tu contraseña fue cambiada. Si no fuiste tú, restablécela y avísanos.",
        ),
        "en": Text(
            "Password changed",
            "Your password was changed. If it was not you, reset it and tell us.",
        ),
    },
    "FACTOR_ADDED": {
        "es": Text(
            "Método de acceso agregado",
            "Agregaste {factor} a tu cuenta. Si no fuiste tú, cambia tu contraseña.",
        ),
        "en": Text(
            "Login method added",
            "You added {factor} to your account. If it was not you, change your password.",
        ),
    },
    "FACTOR_REMOVED": {
        "es": Text(
            "Método de acceso eliminado",
            "Quitaste {factor} de tu cuenta. Si no fuiste tú, cambia tu contraseña.",
        ),
        "en": Text(
            "Login method removed",
            "You removed {factor} from your account. If it was not you, change your password.",
        ),
    },
}
"""Name in bp.notifications.v1.Template -> locale -> text."""


def names_amount(template: str) -> bool:
    """Return whether a template's text has an amount."""
    return any("{amount}" in text.body for text in TEXTS[template].values())


def render(
    template: str, locale: str, amount: Money | None, *, reason: str = "", device_name: str = ""
) -> Text:
    """Return the text with its amount, return code and words, as far as the text names them.

    `amount` may be None if the template names none. Raises KeyError for a template without texts.
    The bank's own reasons are not shown, because they are for operators.
    """
    text = TEXTS[template][locale]
    body = text.body.format(
        amount=amount_text(amount, locale) if amount else "",
        code=f" ({reason})" if reason else "",
        device=words.device(device_name, locale),
        factor=words.factor(reason, locale),
        origin=words.origin(reason, locale),
    )
    return Text(text.title, body)


def amount_text(amount: Money, locale: str) -> str:
    """Return an amount as the language writes it: "1.234,56 USD" or "USD 1,234.56"."""
    whole, minor = divmod(abs(amount.minor_units), 100)
    sign = "-" if amount.minor_units < 0 else ""
    if locale == "es":
        grouped = f"{whole:,}".replace(",", ".")
        return f"{sign}{grouped},{minor:02d} {amount.currency}"
    return f"{amount.currency} {sign}{whole:,}.{minor:02d}"
