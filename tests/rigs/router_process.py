"""A router process, started as the stack starts it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ops.waiting import scaled_s
from services.chassis.kafka.membership import EXIT_STUCK

EXITS_S = 60.0

REPO = Path(__file__).resolve().parents[2]


@dataclass
class RouterProcess:
    """A router process in one slot, and its restarts."""

    bootstrap: str
    home: Path
    slot: str = "0"
    process: subprocess.Popen[bytes] | None = None

    def start(self, **settings: str) -> None:
        """Start it; `settings` are further variables of its environment."""
        environment = os.environ | {
            "BP_SERVICE": "router",
            "BP_SLOT": self.slot,
            "BP_HOME": str(self.home),
            "BP_SOCKET_IN": str(self.home / f"router-{self.slot}.sock"),
            "BP_OPENBAO_ADDR": "http://127.0.0.1:1",
            "BP_SERVICE_ACCOUNT_TOKEN_FILE": str(self.home / "token"),
            "BP_KAFKA_BOOTSTRAP": self.bootstrap,
            "PYTHONPATH": f"{REPO}:{REPO / 'gen'}",
            **settings,
        }
        with (self.home / f"router-{self.slot}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.router"],
                cwd=REPO,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def ends(self) -> int:
        """Wait until the process ends without a signal; return the exit code."""
        assert self.process is not None
        return self.process.wait(timeout=scaled_s(EXITS_S))

    def restart_if_stuck(self) -> None:
        """Act as the supervisor: restart a router that ended because its Kafka client was stuck."""
        assert self.process is not None
        ended = self.process.poll()
        if ended is not None:
            assert ended == EXIT_STUCK, f"the router ended with {ended}"
            self.start()

    def kill(self) -> None:
        """Send SIGKILL, so that the client cannot leave its consumer group."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; return the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=scaled_s(EXITS_S))
