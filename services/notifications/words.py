"""The words for devices, factors and locks in the texts that customers read. Pure.

The app chooses a device's name, so an attacker can choose it too. A name that could hold a link, an
address or a telephone number, or that is long, is not shown.
"""

import unicodedata
from collections.abc import Mapping

NAME_CHARACTERS_MAX = 32
NAME_DIGITS_MAX = 6
"""A telephone number has at least seven digits."""
UNNAMED = "Device"
"""The name that auth gives a device whose app gave none."""
NAME_SIGNS = frozenset(" '’()-+")

FACTORS: Mapping[str, Mapping[str, str]] = {
    "PASSWORD": {"es": "una contraseña", "en": "a password"},
    "SMS_CODE": {"es": "los códigos por mensaje de texto", "en": "codes by text message"},
    "AUTHENTICATOR_APP": {"es": "una aplicación de autenticación", "en": "an authenticator app"},
    "RECOVERY_CODES": {"es": "los códigos de recuperación", "en": "recovery codes"},
    "DEVICE_KEYS": {"es": "la huella o el rostro", "en": "your fingerprint or face"},
    "FACE_PICTURE": {"es": "una imagen de tu rostro", "en": "a picture of your face"},
}
"""Name in bp.auth.v1.Factor -> locale -> words."""
OTHER_FACTOR = {"es": "un método de acceso", "en": "a login method"}

ORIGINS: Mapping[str, Mapping[str, str]] = {
    "DEVICE": {"es": "uno de tus dispositivos", "en": "one of your devices"},
    "SESSION": {"es": "una de tus sesiones abiertas", "en": "one of your open sessions"},
    "STRANGERS": {"es": "dispositivos desconocidos", "en": "unknown devices"},
}
"""Scope of bp.auth.v1.LoginLocked -> locale -> words."""
OTHER_ORIGIN = {"es": "algunos dispositivos", "en": "some devices"}

NAMED_DEVICE = {"es": "el dispositivo «{}»", "en": "the device “{}”"}
OTHER_DEVICE = {"es": "un dispositivo", "en": "a device"}


def factor(name: str, locale: str) -> str:
    """Return the words for a factor; those for any factor if it is newer than this program."""
    return FACTORS.get(name, OTHER_FACTOR)[locale]


def origin(scope: str, locale: str) -> str:
    """Return the words for the devices of a lock."""
    return ORIGINS.get(scope, OTHER_ORIGIN)[locale]


def device(name: str, locale: str) -> str:
    """Return the words for a device: its quoted name, or "a device" if the name is not shown."""
    is_shown = name != UNNAMED and _is_plain(name)
    return NAMED_DEVICE[locale].format(name) if is_shown else OTHER_DEVICE[locale]


def _is_plain(name: str) -> bool:
    """Return whether a name is short and has only letters, a few digits and harmless signs."""
    kinds = [unicodedata.category(one) for one in name if one not in NAME_SIGNS]
    digits = sum(kind.startswith("N") for kind in kinds)
    return (
        bool(kinds)
        and len(name) <= NAME_CHARACTERS_MAX
        and digits <= NAME_DIGITS_MAX
        and all(kind[0] in "LMN" for kind in kinds)
    )
