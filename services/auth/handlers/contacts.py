"""A customer's e-mail address and telephone number, decrypted by OpenBao when they are needed."""

from dataclasses import dataclass, field

from services.auth.handlers.dependencies import Dependencies
from services.auth.sealing import Field, Sealed
from services.auth.state import User
from services.kernel.errors import Unauthenticated


@dataclass(frozen=True, slots=True)
class Contacts:
    """How the bank reaches a customer."""

    email: str = field(repr=False)
    """In its canonical form."""
    phone: str = field(repr=False)
    """In E.164."""


async def contacts_of(deps: Dependencies, user: User) -> Contacts:
    """Return the stored addresses; raise Unauthenticated for a customer who was removed."""
    contact = await deps.store.contact(user.customer_id)
    if contact is None:
        raise Unauthenticated
    email, phone = await deps.sealer.unseal_all(
        [
            Sealed(user.customer_id, Field.EMAIL, contact.email_sealed),
            Sealed(user.customer_id, Field.PHONE, contact.phone_sealed),
        ]
    )
    return Contacts(email.decode(), phone.decode())


async def phone_of(deps: Dependencies, user: User) -> str:
    """Return the stored telephone number in E.164."""
    phone = await deps.sealer.unseal(user.customer_id, Field.PHONE, user.phone_sealed)
    return phone.decode()
