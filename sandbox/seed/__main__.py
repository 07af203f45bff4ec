"""`python -m sandbox.seed`: the stack runs it at every start; it can be repeated safely."""

import asyncio

from sandbox.seed import cluster, planting

if __name__ == "__main__":
    done = asyncio.run(planting.seed(cluster.connect))
    print(f"{done.customers:,} customers, {done.opened:,} opening balances posted")
