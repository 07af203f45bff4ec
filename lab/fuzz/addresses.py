"""Client addresses on one machine: each caller of the gateway can have one of its own.

The gateway and auth limit calls by the address of the connection. Each address of
127.0.0.0/8 belongs to this machine, so a client that binds to one counts as another caller.
"""

import random

import aiohttp

from sandbox.client import BankClient

CONNECTIONS_MAX = 200


def unused_address() -> str:
    """Return a random loopback address, of 16 million."""
    dice = random.SystemRandom()
    return f"127.{dice.randrange(1, 255)}.{dice.randrange(256)}.{dice.randrange(1, 255)}"


async def call_from(bank: BankClient, address: str) -> None:
    """Let a client call from an address from now on."""
    await bank.session.close()
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, local_addr=(address, 0))
    bank.session = aiohttp.ClientSession(connector=connector)
