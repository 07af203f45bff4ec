"""`python -m sandbox.seed`: what the stack runs on its way up; harmless to repeat."""

import asyncio

from sandbox.seed import cluster, planting

if __name__ == "__main__":
    done = asyncio.run(planting.seed(cluster.connect))
    print(f"{done.customers:,} customers, {done.opened:,} opening balances posted")
