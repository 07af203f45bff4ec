"""`python -m sandbox.seed`: the stack runs it at every start; it can be repeated safely."""

import argparse
import asyncio

from sandbox.seed import cluster, logins, people, planting


async def main() -> None:
    """Write the customers and their logins."""
    done = await planting.seed(cluster.connect)
    vault = await cluster.open_auth_vault()
    connection = await cluster.connect("bp_auth")
    cost = cluster.bcrypt_cost()
    load = people.load_people(planting.LOAD_ON_FIRST_START)
    try:
        added = await logins.plant(connection, vault, people.NAMED, with_faces=True, cost=cost)
        added += await logins.plant(connection, vault, load, with_faces=False, cost=cost)
    finally:
        await connection.close()
    print(
        f"{done.customers:,} customers, {done.opened:,} opening balances posted,"
        f" {added:,} logins added"
    )


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m sandbox.seed", description=__doc__).parse_args()
    asyncio.run(main())
