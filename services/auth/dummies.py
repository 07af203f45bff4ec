"""The hashes that auth verifies for unknown addresses, so that the time shows no account. Pure.

After a change of `bcrypt_cost`, stored hashes have different costs until each customer's next
login. If all dummies had one cost, another time would reveal a customer. So dummies have the same
costs in the same shares. An address always gets the dummy of its own digest. As the share of an
old cost falls, an address changes to the new cost once, like the hash of a customer who logs in.
"""

from collections.abc import Mapping

import bcrypt

COSTS = range(4, 32)
"""The costs that bcrypt knows."""
_SALT_END = 29
"""A hash begins with version, cost and salt."""
_DRAW_BYTES = 8


class Dummies:
    """Hashes that no password matches, with the costs of the stored hashes."""

    def __init__(self, hashed: bytes, cost: int) -> None:
        """`hashed` is a hash of random bytes; until `spread`, every dummy has this cost."""
        self._digest = hashed[_SALT_END:]
        self._dummies = [(1.0, self._dummy(cost))]

    def spread(self, hashes_by_cost: Mapping[int, int]) -> None:
        """Take over the shares of the costs: cost -> number of stored hashes.

        Without a stored hash, nothing changes.
        """
        counts = {cost: n for cost, n in sorted(hashes_by_cost.items()) if cost in COSTS and n > 0}
        total, seen, dummies = sum(counts.values()), 0, list[tuple[float, bytes]]()
        for cost, count in counts.items():
            seen += count
            dummies.append((seen / total, self._dummy(cost)))
        self._dummies = dummies or self._dummies

    def hash_for(self, account: bytes) -> bytes:
        """Return the dummy of an unknown address; `account` is its blind index, 32 bytes.

        The index is a keyed digest, so a caller cannot choose an address by its cost.
        """
        draw = int.from_bytes(account[:_DRAW_BYTES]) / 2 ** (8 * _DRAW_BYTES)
        return next((dummy for share, dummy in self._dummies if draw < share), self._dummies[-1][1])

    def _dummy(self, cost: int) -> bytes:
        """Return a new salt of this cost with the digest of the first hash: nothing matches it."""
        return bcrypt.gensalt(cost) + self._digest
