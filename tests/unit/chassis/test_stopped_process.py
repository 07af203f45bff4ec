"""A process that was paused and resumed is healthy: its watchdogs do not end it."""

import os
import signal
import subprocess
import sys
import time
from subprocess import PIPE

import pytest

from ops.waiting import scaled_s
from tests.rigs.host_speed import waited_out_s

CONSUMER = """
import asyncio, sys
from services.chassis.kafka import Health, Subscription, loop

loop.CALL_S_MAX = float(sys.argv[1])

def read():
    print("begun", flush=True)
    sys.stdin.readline()

async def main():
    one = loop._Loop(Subscription("", "group", "member", ()), None, Health())
    await one._in_thread(read)

asyncio.run(main())
"""

ROUTER = """
import asyncio, sys, time
from services.router import bootstrap
from services.router.pipe import Pipe

bootstrap.STUCK_S, bootstrap.WATCH_S = float(sys.argv[1]), 0.1

async def main():
    pipe = Pipe.__new__(Pipe)
    pipe._call_begun = time.monotonic()
    watch = asyncio.create_task(bootstrap._watch(pipe))
    print("begun", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    pipe._call_begun = None
    watch.cancel()

asyncio.run(main())
"""
both = pytest.mark.parametrize("program", [CONSUMER, ROUTER], ids=["consumer", "router"])


def call_s_max() -> float:
    """Return how long the watchdogs let a call take, scaled for a slow host."""
    return waited_out_s(0.5)


def watched(program: str) -> "subprocess.Popen[bytes]":
    """Start a program whose client call lasts until the program reads a line."""
    command = [sys.executable, "-c", program, str(call_s_max())]
    process = subprocess.Popen(command, stdin=PIPE, stdout=PIPE, env=os.environ.copy())
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    return process


@both
def test_a_process_that_was_stopped_and_continues_is_not_ended(program: str) -> None:
    """A debugger, a frozen container or a lack of memory can pause a process. After the pause the
    clock has advanced, but no client call took longer than usual."""
    with watched(program) as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(2 * call_s_max())
        process.send_signal(signal.SIGCONT)
        time.sleep(0.3)  # the watchdogs check while the call is in progress
        told, _ = process.communicate(b"\n", timeout=scaled_s(20))
    assert (process.returncode, told) == (0, b"")


@both
def test_a_client_that_does_not_come_back_from_a_call_ends_the_process(program: str) -> None:
    with watched(program) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        assert process.wait(scaled_s(20)) == 70
    assert b"client_stuck" in told
