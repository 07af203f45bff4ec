"""Certificates that a proxy uses, compared with the files from which it should have them. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509

EXPIRES_SOON = timedelta(minutes=10)
SHOWN_SERIAL_CHARS = 16
UNREADABLE, UNUSED = "unreadable", "not used"


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate. `names` are its subject alternative names; an authority has none."""

    serial: int
    names: tuple[str, ...]
    expires: datetime
    authority: bool = False


def of_envoy(certs: dict[str, Any]) -> list[Certificate]:
    """Return the certificates in an answer of Envoy's /certs, each once."""
    found = [
        _of_envoy(one, authority=key == "ca_cert")
        for each in certs.get("certificates", [])
        for key in ("cert_chain", "ca_cert")
        for one in each.get(key, [])
    ]
    return list(dict.fromkeys(found))


def _of_envoy(one: dict[str, Any], *, authority: bool) -> Certificate:
    names = [str(value) for each in one.get("subject_alt_names", []) for value in each.values()]
    return Certificate(
        int(str(one["serial_number"]) or "0", 16),
        tuple(sorted(names)),
        datetime.fromisoformat(str(one["expiration_time"])),
        authority,
    )


def of_file(pem: bytes) -> Certificate:
    """Return the first certificate of a PEM file. Raises ValueError."""
    return _of_x509(x509.load_pem_x509_certificate(pem))


def first_serial(pem: bytes | None) -> int | None:
    """Return the serial number of the first certificate of a PEM file, or None if the file is
    unreadable. Envoy shows only the first authority of a file with several."""
    try:
        return x509.load_pem_x509_certificates(pem or b"")[0].serial_number
    except ValueError:
        return None


def _of_x509(found: x509.Certificate) -> Certificate:
    names: list[str] = []
    try:
        shown = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(each.value) for each in shown]
    except x509.ExtensionNotFound:
        pass
    return Certificate(found.serial_number, tuple(sorted(names)), found.not_valid_after_utc)


def rows(
    proxy: str,
    used: Iterable[Certificate],
    files: Iterable[Certificate],
    now: datetime,
    secrets: Mapping[str, int | None] | None = None,
) -> list[dict[str, Any]]:
    """Return a row for each certificate of a proxy, and for each file that it does not use.

    `state` is ok, expires soon, expired, or differs from the file. An authority has no name of its
    own; `secrets` names it.
    """
    of = {serial: name for name, serial in (secrets or {}).items()}
    on_disk = {each.names: each for each in files}
    held = list(used)
    made: list[dict[str, Any]] = []
    for each in held:
        wanted = None if each.authority else on_disk.get(each.names)
        state = _state(each, now)
        if wanted is not None and wanted.serial != each.serial:
            newest = any(e.names == each.names and e.serial == wanted.serial for e in held)
            state = "older" if newest else "differs from the file"
        made.append(_row(proxy, each, state, now, of.get(each.serial, "")))
    names = {each.names for each in held if not each.authority}
    missing = (each for each in on_disk.values() if each.names not in names)
    return made + [_row(proxy, each, UNUSED, now) for each in missing]


def loaded(secret: dict[str, Any]) -> bytes:
    """Return what Envoy has read from the file of a secret, from its config_dump."""
    source = secret.get("validation_context", {}).get("trusted_ca") or secret.get(
        "tls_certificate", {}
    ).get("certificate_chain", {})
    return base64.b64decode(str(source.get("inline_bytes", "")))


def unusable(
    proxy: str, secrets: Mapping[str, int | None], used: Iterable[Certificate]
) -> list[dict[str, Any]]:
    """Return a row for each secret that Envoy has read and does not use.

    `secrets` has the first serial number of each secret, or None if Envoy has read something else
    than a certificate. Its connections then keep the earlier certificate, Envoy reports nothing to
    the control plane, and it refuses the next cluster or listener that names the secret.
    """
    held = {each.serial for each in used}
    blank = {"serial": "", "expires": "", "left": ""}
    return [
        {"proxy": proxy, "certificate": f"secret {name}", **blank, "state": state}
        for name, serial in secrets.items()
        if (state := UNREADABLE if serial is None else "" if serial in held else UNUSED)
    ]


def is_alarming(row: dict[str, Any]) -> bool:
    """Return whether an operator has to act."""
    return row["state"] not in ("ok", "older")


def _state(each: Certificate, now: datetime) -> str:
    if each.expires <= now:
        return "expired"
    return "expires soon" if each.expires - now < EXPIRES_SOON else "ok"


def _row(
    proxy: str, each: Certificate, state: str, now: datetime, secret: str = ""
) -> dict[str, Any]:
    nameless = f"authority {secret}".strip() if each.authority else "no name"
    return {
        "proxy": proxy,
        "certificate": ", ".join(each.names) or nameless,
        "serial": f"{each.serial:x}"[:SHOWN_SERIAL_CHARS],
        "expires": each.expires.isoformat(timespec="seconds"),
        "left": left(each.expires - now),
        "state": state,
    }


def left(span: timedelta) -> str:
    """Return a time span in its two largest units."""
    minutes = int(span.total_seconds() // 60)
    if minutes >= 2 * 24 * 60:
        return f"{minutes // (24 * 60)} days"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
