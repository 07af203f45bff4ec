"""Client addresses on one machine: each caller of the gateway can have one of its own.

Each address of 127.0.0.0/8 belongs to this machine, so a client that binds to one counts as another
caller (`BankClient.call_from`).
"""

import random


def unused_address() -> str:
    """Return a random loopback address, of 16 million."""
    dice = random.SystemRandom()
    return f"127.{dice.randrange(1, 255)}.{dice.randrange(256)}.{dice.randrange(1, 255)}"
