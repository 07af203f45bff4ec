"""The part `mesh`: the cost of a pass, edits, changes under load, and many simulated proxies."""

from __future__ import annotations

from lab.bench.bench import Bench
from lab.bench.variants import no_sidecar
from lab.bench.variants.mesh.edits import edits
from lab.bench.variants.mesh.nodes import nodes
from lab.bench.variants.mesh.unharmed import unharmed


async def mesh(bench: Bench) -> None:
    """Measure the mesh. The edits come first, while the machine has nothing else to do."""
    await edits(bench)
    await unharmed(bench)
    await nodes(bench)
    await no_sidecar.mesh(bench)
