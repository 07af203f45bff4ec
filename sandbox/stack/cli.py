"""The stack's commands. `up` starts a supervisor in the background and shows its progress."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from ops.programs import search_path
from ops.waiting import scaled_s
from sandbox.stack import memory, progress
from sandbox.stack.home import REPO, Home, home_from_environment
from sandbox.stack.supervisor import control, launch, private
from sandbox.stack.supervisor.nodes import unknown

UP_WITHIN_S = 240.0
DOWN_WITHIN_S = 120.0
WHAT_NOW = (
    "All parts that do not need these keep running; see `make status`. Fix the cause and run"
    " `make up` again, or stop the bank with `make down`."
)
INTERRUPTED = 128 + signal.SIGINT
NAMED = ("restart", "stop", "start", "kill")


def main(arguments: list[str]) -> int:
    """Parse and run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(home_from_environment(), options)
    except PermissionError as error:
        print(error, file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\nStopped. The bank continues; `make down` stops it.", file=sys.stderr)
        return INTERRUPTED


def _run(home: Home, options: argparse.Namespace) -> int:
    home.require_access()
    match options.command:
        case "up":
            return up(home, options.part)
        case "down":
            return down(home)
        case "status":
            return show_status(home, options.json)
        case "supervise":
            from sandbox.stack import serve

            serve.main(home)
            return 0
        case _:
            return _ask_named(home, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up_parser = commands.add_parser("up", help="start the stack, or report the running one")
    up_parser.add_argument("part", nargs="*", help="only these nodes and those they depend on")
    commands.add_parser("down", help="drain and stop everything")
    commands.add_parser("status", help="show nodes").add_argument("--json", action="store_true")
    commands.add_parser("pids", help="print name and pid of every process")
    for name in NAMED:
        commands.add_parser(name, help=f"{name} one process").add_argument("name")
    commands.add_parser("supervise", help="run the supervisor in the foreground")
    return parser


def up(home: Home, names: list[str]) -> int:
    """Start the supervisor if none runs, request the nodes, show progress, print the figures."""
    begun = time.monotonic()
    if strange := _unknown(home, names):
        print(f"Nothing was started: {strange}.", file=sys.stderr)
        return 2
    try:
        started = ensure_supervisor(home)
    except OSError as error:
        print(f"The bank did not start: {_cause(home, error)}.", file=sys.stderr)
        return 1
    answer = ensure(home, names)
    if not answer["ok"]:
        print(f"The bank did not start.\n{answer['error']}\n{WHAT_NOW}", file=sys.stderr)
        return 1
    report = memory.write_report(home, time.monotonic() - begun if started else None)
    progress.show_summary(home, report)
    return 0


def _unknown(home: Home, names: Sequence[str]) -> str:
    """Return the message about names that are no parts; "" if all are."""
    if not names:
        return ""
    try:
        known = [node["name"] for node in control.ask(home.control_socket, cmd="status")["nodes"]]
    except OSError:
        from sandbox.stack import plan  # imported here: only this case needs it, and it is slow

        known = plan.names()
    strange = [name for name in names if name not in known]
    return unknown(strange, known) if strange else ""


def _cause(home: Home, error: OSError) -> str:
    if error.strerror is None:
        return str(error)
    reason = f"{error.strerror[0].lower()}{error.strerror[1:]}"
    return f"{error.filename}: {reason}; set BP_HOME to another folder than {home.root}"


def ensure(
    home: Home, names: list[str], *, dies_with_caller: bool = False, through: Sequence[str] = ()
) -> control.Answer:
    """Have a running supervisor bring up these nodes; print nodes that keep failing meanwhile. If
    the supervisor is stopping, a new one does it. The options are those of `ensure_supervisor`."""
    answer = _ensured(home, names)
    if not answer.get("stopping"):
        return answer
    try:
        ensure_supervisor(home, dies_with_caller=dies_with_caller, through=through)
    except OSError as error:
        return {"ok": False, "error": _cause(home, error)}
    return _ensured(home, names)


def _ensured(home: Home, names: list[str]) -> control.Answer:
    asking = control.Asking(home.control_socket, scaled_s(UP_WITHIN_S), cmd="ensure", names=names)
    progress.show_until(home, lambda: not asking.is_alive())
    return asking.answer


def ensure_supervisor(
    home: Home, *, dies_with_caller: bool = False, through: Sequence[str] = ()
) -> bool:
    """Start a supervisor unless one runs; return whether it was started. TimeoutError after 15 s.

    One that is stopping ends first, which may take two minutes. The supervisor outlives the caller
    unless `dies_with_caller`, so a killed test session leaves no process. `through` is a command
    prefix that executes the rest of its arguments.
    """
    if control.is_running(home.control_socket):
        return False
    wait_for_end(home)
    home.create_folders()
    with private.appending(home.logs / "supervisor.log") as log:
        command = [*through, sys.executable, "-m", "sandbox.stack", "supervise"]
        process = subprocess.Popen(
            launch.in_its_place(command, None, signal.SIGTERM) if dies_with_caller else command,
            cwd=REPO,
            env={**os.environ, "PATH": search_path(), "BP_HOME": str(home.root)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            umask=private.UMASK,
        )
    deadline = time.monotonic() + scaled_s(15)
    while not control.is_running(home.control_socket):
        # If another start was faster, this supervisor ends as soon as the other one answers.
        ended = process.poll() is not None and not control.is_running(home.control_socket)
        if ended or time.monotonic() > deadline:
            raise TimeoutError(f"the supervisor did not start; see {home.logs}/supervisor.log")
        time.sleep(0.02)
    return True


def wait_for_end(home: Home) -> None:
    """Wait until no supervisor of the home is stopping; TimeoutError if one does not end."""
    deadline = time.monotonic() + scaled_s(DOWN_WITHIN_S)
    while control.is_stopping(home.control_socket):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the bank is still stopping; see {home.logs}/supervisor.log")
        time.sleep(0.02)


def down(home: Home) -> int:
    """Stop everything gracefully; return 0 also when the bank is not running."""
    try:
        answer = control.ask(home.control_socket, scaled_s(DOWN_WITHIN_S), cmd="down")
    except TimeoutError:
        print(
            f"The bank is still stopping; see {home.logs}/supervisor.log and run `make down` again",
            file=sys.stderr,
        )
        return 1
    except OSError:
        print("The bank is not running.")
        return 0
    deadline = time.monotonic() + scaled_s(10)
    while home.control_socket.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    print("Stopped." if answer["ok"] else answer["error"])
    return 0 if answer["ok"] else 1


def show_status(home: Home, as_json: bool) -> int:
    """Show every node; return 0 when no node fails, 1 when one does, 3 when none runs."""
    try:
        answer = control.ask(home.control_socket, cmd="status")
    except OSError:
        print(
            json.dumps({"running": False, "nodes": []})
            if as_json
            else "The bank is not running. Start it with `make up`."
        )
        return 3
    if as_json:
        print(json.dumps({"running": True, **answer}))
    else:
        progress.print_status(answer["nodes"])
    return 1 if any(n["trouble"] or n["state"] == "failed" for n in answer["nodes"]) else 0


def _ask_named(home: Home, options: argparse.Namespace) -> int:
    request = {"cmd": options.command}
    if options.command in NAMED:
        request["name"] = options.name
    try:
        answer = control.ask(home.control_socket, **request)
    except OSError:
        answer = {"ok": False, "error": "the bank is not running"}
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1
