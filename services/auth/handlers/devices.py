"""A customer's devices and their keys."""

import uuid
from dataclasses import replace
from datetime import datetime

from webauthn.helpers import bytes_to_base64url as encoded

from services.auth import device_keys, events_out
from services.auth.background import attempted
from services.auth.device_keys import DeviceKey, Registration, RegistrationOptions
from services.auth.errors import AssertionInvalid, DeviceNotFound, RegistrationInvalid
from services.auth.handlers import tokens
from services.auth.handlers.caller import Caller, origin
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.undoing import completed
from services.auth.state import Device, EndCause, Factor
from services.auth.store import Ending
from services.chassis.page_tokens import page_rows, query_digest
from services.kernel.errors import PageTokenInvalid


async def list_devices(
    deps: Dependencies, me: Caller, *, page_size: int, page_token: str
) -> tuple[list[Device], str]:
    """Return one page of the devices, the last used first, and the token of the next page.

    Raises PageTokenInvalid.
    """
    digest = query_digest("ListDevices", me.customer_id)
    cursor = deps.tokens.open(page_token, digest)
    after = await _place(deps, me, cursor) if cursor else None
    rows = page_rows(page_size)
    found = await deps.store.devices(me.customer_id, after, rows + 1)
    if len(found) <= rows:
        return found, ""
    return found[:rows], deps.tokens.seal(digest, found[rows - 1].device_id)


async def _place(deps: Dependencies, me: Caller, cursor: uuid.UUID) -> tuple[datetime, uuid.UUID]:
    """Return where a list continues; raise PageTokenInvalid if the device was removed meanwhile."""
    try:
        device = await deps.store.device(me.customer_id, cursor)
    except DeviceNotFound:
        raise PageTokenInvalid from None
    return device.last_login_time, device.device_id


async def remove_device(deps: Dependencies, me: Caller, device_id: uuid.UUID) -> None:
    """Remove a device and end its sessions; raise DeviceNotFound."""
    now = origin()
    ending = Ending(
        customer_id=me.customer_id,
        cause=EndCause.DEVICE_REMOVED,
        origin=now,
        device_id=device_id,
        events=[events_out.device_removed(now, me.customer_id, device_id)],
    )
    ended = await deps.store.remove_device(ending)
    await tokens.withdraw(deps, [session.session_id for session in ended])


async def create_device_key_challenge(deps: Dependencies, me: Caller) -> RegistrationOptions:
    """Return the options of a registration for the caller's device; raise DeviceNotFound."""
    await _own_device(deps, me)
    challenge = device_keys.new_challenge()
    await deps.challenges.put(me.session_id, challenge)
    return device_keys.registration_options(me.customer_id, challenge, deps.settings)


async def register_device_key(deps: Dependencies, me: Caller, registration: Registration) -> Device:
    """Store the key of the caller's device; it replaces an earlier one.

    Raises RegistrationInvalid and DeviceNotFound.
    """
    return await completed(_registered(deps, me, registration))


async def _registered(deps: Dependencies, me: Caller, registration: Registration) -> Device:
    """Check and store a key. Its challenge is used up after that, so an outage does not lose it."""
    challenge = await deps.challenges.read(me.session_id)
    # After the challenge: a parallel call stores its key before it uses the challenge up.
    device = await _own_device(deps, me)
    if not challenge:
        # An app that lost the answer sends the same key again.
        if device.credential_id and registration.credential_id == encoded(device.credential_id):
            return device
        raise RegistrationInvalid
    try:
        key = device_keys.verify_registration(registration, challenge, deps.settings)
        stored = await _stored(deps, device, key)
    except AssertionInvalid:
        await deps.challenges.forget(me.session_id)
        raise RegistrationInvalid from None
    await attempted("forget_challenge", deps.challenges.forget(me.session_id))
    return stored


async def _stored(deps: Dependencies, device: Device, key: DeviceKey) -> Device:
    """Store a key; return the device. Raises AssertionInvalid for the key of another device."""
    with_key = replace(
        device,
        credential_id=key.credential_id,
        public_key=key.public_key,
        sign_count=key.sign_count,
    )
    added = events_out.factor_added(origin(), device.customer_id, Factor.DEVICE_KEYS)
    return await deps.store.set_key(with_key, [added])


async def _own_device(deps: Dependencies, me: Caller) -> Device:
    if me.device_id is None:
        raise DeviceNotFound
    return await deps.store.device(me.customer_id, me.device_id)
