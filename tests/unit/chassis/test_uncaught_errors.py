"""Where the errors go that no code of a service catches: to its log, without customers' data."""

import json
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[3]

SERVICE = """
import asyncio, gc, threading
from types import SimpleNamespace
import asyncpg
from services.chassis import grpc_server

def refused(where):
    error = asyncpg.CheckViolationError("refused " + where)
    error.detail = "Failing row contains (7, Bo Rivera, rent\\n\\nsecond line of the memo)."
    error.hint = "Look up the rule."
    return error

def fail(where):
    raise refused(where)

class Dying:
    def __del__(self):
        fail("in a finaliser")

async def failing(where):
    fail(where)

async def main(settings, stop):
    thread = threading.Thread(target=fail, args=["in a thread"])
    thread.start()
    thread.join()
    Dying()
    asyncio.get_running_loop().call_soon(fail, "in a callback")
    lost = asyncio.create_task(failing("in a lost task"))
    await asyncio.wait([lost])
    del lost
    gc.collect()
    async with asyncio.TaskGroup() as jobs:
        jobs.create_task(failing("in a job"))

grpc_server.run(SimpleNamespace(service="payments", slot="1", log_level="INFO"), main)
"""


def test_an_error_that_nothing_catches_is_in_the_log_without_the_row() -> None:
    """PostgreSQL's DETAIL has a customer's row, and Python itself prints it on stderr."""
    ended = subprocess.run(
        [sys.executable, "-c", SERVICE],
        cwd=REPO,
        env={"PYTHONPATH": f"{REPO}:{REPO / 'gen'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["message"] for line in lines] == [
        "thread.failed",
        "finaliser.failed",
        "event_loop.error",
        "event_loop.error",
        "process.failed",
    ]
    places = ("in a thread", "in a finaliser", "in a callback", "in a lost task", "in a job")
    for line, place in zip(lines, places, strict=True):
        assert f"CheckViolationError: refused {place}" in line["exception"]
        assert "Look up the rule." in line["exception"]
        assert line["service.name"] == "payments"
    for private in ("Bo Rivera", "second line"):
        assert private not in ended.stdout


LIBRARY = """
import asyncio, functools, logging
from types import SimpleNamespace
from services.chassis import grpc_server

class Worker:
    def __repr__(self):
        return "Bo Rivera"

    def __call__(self):
        raise ValueError("in a callback")

def fail(memo):
    raise ValueError("in a callback")

async def main(settings, stop):
    library = logging.getLogger("some.library")
    library.setLevel(logging.DEBUG)
    library.warning("a %s and %s", "Bo Rivera")
    library.log(35, "its own level")
    library.log(5, "below every level")
    library.warning("a name %s", "\\udcff")
    loop = asyncio.get_running_loop()
    for callback in (functools.partial(fail, "Bo Rivera"), Worker()):
        loop.call_soon(callback)
    loop.call_soon(fail, "Bo Rivera")
    await asyncio.sleep(0.01)
    raise ValueError("at the end \\udcff")

grpc_server.run(SimpleNamespace(service="payments", slot="1", log_level="INFO"), main)
"""


def test_a_line_that_cannot_be_logged_disturbs_no_library_and_shows_no_arguments() -> None:
    """A malformed line raised into the library, and a callback's arguments were in the log."""
    ended = subprocess.run(
        [sys.executable, "-c", LIBRARY],
        cwd=REPO,
        env={"PYTHONPATH": f"{REPO}:{REPO / 'gen'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    told = [(line["message"], line["log.level"], line["detail"]) for line in lines]
    assert told == [
        ("library.line_failed", "warn", "TypeError"),
        ("library.line", "warn", "its own level"),
        ("library.line", "warn", "a name \udcff"),
        *[("event_loop.error", "error", "Exception in callback")] * 3,
        ("process.failed", "error", "ValueError: at the end \udcff"),
    ]
    assert all("ValueError: in a callback" in line["exception"] for line in lines[3:6])
    assert "Bo Rivera" not in ended.stdout
