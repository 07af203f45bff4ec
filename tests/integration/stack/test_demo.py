"""The demo ends with a sentence when a person stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from sandbox.stack.home import REPO
from sandbox.stack.supervisor import control
from sandbox.stack.testing import RunningStack


def test_an_interrupted_demo_ends_with_a_sentence_and_the_bank_keeps_running(
    stack: RunningStack,
) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-u", "-m", "sandbox.demo"],
        cwd=REPO,
        env={**os.environ, "BP_HOME": str(stack.home.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A background job of a shell ignores the signal, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert demo.stdout is not None
    assert any("1 · " in line for line in demo.stdout), "the first scene has begun"
    demo.send_signal(signal.SIGINT)
    _, said = demo.communicate()
    assert demo.returncode == 130
    assert said.split("\n")[-2] == "Stopped. The bank keeps running; `make down` stops it."
    assert "Traceback" not in said
    assert control.is_running(stack.home.control_socket)
