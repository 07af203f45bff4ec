"""All planted differences. Each is planted once, even if it must be found under several kinds."""

from collections.abc import Awaitable, Callable

from tests.integration.judge import plants_behind_the_books, plants_of_books, plants_of_sessions
from tests.integration.judge.plants_of_books import Ids
from tests.integration.judge.world import World

Planted = dict[str, Ids]
"""Name of a plant -> the ids that the judge must report for it."""

PLANTS = (
    *plants_of_books.PLANTS,
    *plants_behind_the_books.PLANTS,
    *plants_of_sessions.PLANTS,
)


async def plant_all(world: World) -> Planted:
    """Plant every difference in a bank without differences."""
    planters: dict[str, Callable[[World], Awaitable[Ids]]] = {
        plant.__name__: plant for _, plant in PLANTS
    }
    return {name: await plant(world) for name, plant in planters.items()}
