"""`python -m sandbox.seed`: the stack runs it at every start; it can be repeated safely."""

import argparse
import asyncio

from sandbox.seed import cluster, planting

if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m sandbox.seed", description=__doc__).parse_args()
    done = asyncio.run(planting.seed(cluster.connect))
    print(f"{done.customers:,} customers, {done.opened:,} opening balances posted")
