"""A server in the place of partners: it listens on the socket that leads a service's calls out."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from services.payments.settings import PaymentsSettings

EVERY_PATH = "/{path:.*}"
_SOCKET = "out"


@asynccontextmanager
async def serving(
    folder: Path, routes: Mapping[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]
) -> AsyncGenerator[None]:
    """Serve paths with any method on the socket `out` of a folder."""
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_route("*", path, handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(folder / _SOCKET)).start()
    try:
        yield
    finally:
        await runner.cleanup()


def settings_of(folder: Path) -> PaymentsSettings:
    """Return settings of payments whose calls to partners go to that socket."""
    return PaymentsSettings(
        service="payments",
        home=folder,
        socket_in=folder,
        socket_out=folder / _SOCKET,
        openbao_addr="",
        service_account_token_file=folder,
    )
