"""A process that is stopped as a whole and goes on later is sound: its watches do not end it."""

import os
import signal
import subprocess
import sys
import time

import pytest

STOPPED_S = 2.0
"""Longer than the watches below bear."""

CONSUMER = """
import asyncio, time
from services.chassis.kafka import Health, Subscription, loop

loop.CALL_S_MAX = 1.0

def read():
    print("begun", flush=True)
    time.sleep(0.3)

async def main():
    one = loop._Loop(Subscription("", "group", "member", ()), None, Health())
    await one._in_thread(read)

asyncio.run(main())
"""

ROUTER = """
import asyncio, time
from services.router import bootstrap
from services.router.pipe import Pipe

bootstrap.STUCK_S, bootstrap.WATCH_S = 1.0, 0.1

async def main():
    pipe = Pipe.__new__(Pipe)
    pipe._call_begun = time.monotonic()
    watch = asyncio.create_task(bootstrap._watch(pipe))
    print("begun", flush=True)
    await asyncio.sleep(0.3)
    pipe._call_begun = None
    watch.cancel()

asyncio.run(main())
"""


@pytest.mark.parametrize("program", [CONSUMER, ROUTER], ids=["consumer", "router"])
def test_a_process_that_was_stopped_and_goes_on_is_not_ended(program: str) -> None:
    """As by a debugger, a frozen container or a machine without memory; then it is all at once
    later, and no call of the client has lasted longer than before."""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=os.environ.copy()
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED_S)
        process.send_signal(signal.SIGCONT)
        told, _ = process.communicate(timeout=20)
    assert (process.returncode, told) == (0, b"")


@pytest.mark.parametrize(
    "program",
    [
        CONSUMER.replace("time.sleep(0.3)", "time.sleep(30)"),
        ROUTER.replace("asyncio.sleep(0.3)", "asyncio.sleep(30)"),
    ],
    ids=["consumer", "router"],
)
def test_a_client_that_does_not_come_back_from_a_call_ends_the_process(program: str) -> None:
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=20)
    assert result.returncode == 70
    assert b"client_stuck" in result.stdout
