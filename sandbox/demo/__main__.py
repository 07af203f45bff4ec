"""Process entry of `make demo`: `python -m sandbox.demo`. Exit code 0 when every check passed."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
import asyncpg

from sandbox.client import BankClient
from sandbox.demo.scenes import SCENES
from sandbox.demo.stage import Stage
from sandbox.stack import cli
from sandbox.stack.home import Home, home_from_environment
from sandbox.stack.supervisor import control, private
from sandbox.stack.testing import RunningStack

LOST = (OSError, aiohttp.ClientError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a call to a part raises when the part has stopped."""
PARTNERS = ("ach", "fraud", "fcm", "oauth", "sms", "rekognition")


async def _mend(bank: BankClient) -> None:
    for partner in PARTNERS:
        await bank.clear_faults(partner)


async def tell(stage: Stage, stack: RunningStack, names: Sequence[str]) -> None:
    """Play the scenes with these names; a scene that fails does not stop the next one."""
    bank = BankClient(stack)
    try:
        for scene in (SCENES[name] for name in names):
            await _mend(bank)
            try:
                await scene(stage, bank)
            except (TimeoutError, KeyError, RuntimeError, OSError) as error:
                stage.holds(stage.scenes[-1], f"{type(error).__name__}: {error}", None)
            stage.close()
    finally:
        await _mend(bank)
        await bank.close()


def _write(home: Home, stage: Stage, *, ok: bool, seconds: float) -> None:
    report: dict[str, Any] = {
        "ok": ok,
        "seconds": round(seconds, 1),
        "scenes": [scene.report() for scene in stage.scenes],
    }
    home.reports.mkdir(parents=True, exist_ok=True)
    private.write(home.reports / "demo.json", json.dumps(report, indent=1, default=str) + "\n")


def main() -> int:
    """Start the bank, play the scenes, and write the report. A bank that stops ends the demo."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument("--scene", choices=list(SCENES), action="append", help="play only this one")
    names: list[str] = parser.parse_args().scene or list(SCENES)
    try:
        home = home_from_environment()
    except PermissionError as error:
        print(error, file=sys.stderr)
        return 3
    try:
        return _play(home, names)
    except KeyboardInterrupt:
        print("\nStopped. The bank keeps running; `make down` stops it.", file=sys.stderr)
        return cli.INTERRUPTED
    except LOST as error:
        if not _is_stopping(home):
            raise
        print(f"The bank was stopped during the demo ({type(error).__name__}).", file=sys.stderr)
        return 1


def _is_stopping(home: Home) -> bool:
    try:
        nodes = control.ask(home.control_socket, cmd="status")["nodes"]
    except OSError:
        return True
    return any(node["state"] in ("stopping", "stopped") for node in nodes)


def _play(home: Home, names: Sequence[str]) -> int:
    began = time.monotonic()
    code = cli.up(home, [])
    if code:
        return code
    stage = Stage()
    asyncio.run(tell(stage, RunningStack.open(home.root), names))
    seconds = time.monotonic() - began
    ok = stage.end(seconds)
    _write(home, stage, ok=ok, seconds=seconds)
    stage.console.print(
        "The bank keeps running. Try [bold]make status[/bold] and [bold]./bpctl --help[/bold]; "
        "README.md shows a login and a transfer with curl. [bold]make down[/bold] stops the bank."
    )
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
