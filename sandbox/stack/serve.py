"""The supervisor's process: lock the home, stop orphans, serve the control socket until `down`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable

from ops.provision.bao_client import BaoError
from ops.waiting import scaled_s
from sandbox.stack import endpoints, lock, plan
from sandbox.stack.home import Home
from sandbox.stack.instances import InstanceControl
from sandbox.stack.parts import postgres_paths
from sandbox.stack.settings import StackSettings
from sandbox.stack.supervisor import orphans, private
from sandbox.stack.supervisor.control_server import Answer, Command, ControlServer, Request
from sandbox.stack.supervisor.supervisor import Supervisor

LOCKED_WITHIN_S = 5.0

log = logging.getLogger("stack")


def main(home: Home) -> None:
    """Run until `down` or SIGTERM. Exits when another supervisor serves the home."""
    os.umask(private.UMASK)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with lock.held(home, scaled_s(LOCKED_WITHIN_S)) as own:
        if not own:
            log.info("another supervisor holds %s", home.root)
            return
        home.create()
        if not lock.earlier_ended(home, scaled_s(LOCKED_WITHIN_S)):
            log.info("a supervisor of an earlier version still holds %s", home.root)
            return
        asyncio.run(_serve(home))
        postgres_paths.remove_copy(home.programs)
        home.remove_run()


def _own_commands(
    parts: plan.Parts, supervisor: Supervisor, stop: Callable[[], Awaitable[None]]
) -> dict[str, Command]:
    """Return the commands that the bank adds to the supervisor's, or replaces."""

    async def renew(_: Request) -> Answer:
        return {"renewed": await parts.cert_agent.renew_due(all_of_them=True)}

    async def down(_: Request) -> Answer:
        await stop()
        return {}

    own = {"renew-certificates": renew, "down": down}
    return {**own, **InstanceControl(parts, supervisor).commands()}


async def _serve(home: Home) -> None:
    ended = orphans.end_all(home.pids_file)
    if ended:
        log.warning("stopped processes of a killed supervisor: %s", ", ".join(ended))
    parts = plan.build_parts(home, StackSettings())
    supervisor = Supervisor(plan.build_nodes(parts), home.logs, home.pids_file)
    endpoints.write(parts)
    loop = asyncio.get_running_loop()

    async def stop() -> None:
        parts.cert_agent.stop()
        await supervisor.stop_all()

    stopping: list[asyncio.Task[None]] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: stopping.append(asyncio.create_task(stop())))
    caretaker = asyncio.create_task(supervisor.look_after_logs())
    commands = _own_commands(parts, supervisor, stop)
    server = await ControlServer(supervisor, commands, BaoError).serve(home.control_socket)
    await supervisor.wait_ended()
    caretaker.cancel()
    home.control_socket.unlink(missing_ok=True)
    server.close()
    await asyncio.sleep(0.05)  # send the answer to `down` before the loop ends
