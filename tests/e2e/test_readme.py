"""The README's calls work as a newcomer types them."""

import asyncio
import os
import re
import subprocess

from ops.waiting import scaled_s
from sandbox.stack.home import REPO
from tests.rigs.running_bank import Bank

BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)
WITHIN_S = 180
READ_THE_CODE = """
EARLIER=${CODE:-}
for _ in $(seq 300); do
    CODE=$(./bpctl sandbox outbox sms --to +15556416073 | grep -oE '#[0-9]{6}$' | tail -c 7)
    [ -n "$CODE" ] && [ "$CODE" != "$EARLIER" ] && break
    sleep 0.2
done
"""
"""In place of the reader, who copies the newest code from the text messages."""
TRY_THE_TOKEN = """
until call "$BP_GATEWAY_URL/v1/accounts" | grep UNAUTHENTICATED; do sleep 0.2; done
"""
"""After the logout: the services learn of it within seconds."""


def chapter(title: str) -> list[str]:
    """Return the commands of a chapter of the README."""
    text = (REPO / "README.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    return BLOCK.findall(text)


def script(home: str) -> str:
    """Return a login, the first calls of a transfer, and a logout, for a bank that runs already."""
    begin, login = chapter("Log in by curl")
    transfer = chapter("A transfer by curl")[0]
    refresh, step_up = chapter("Stay logged in and log out by curl")
    begin = begin.replace("make up ", ": ").replace(". .bp/env", f'. "{home}/env"')
    calls = "\n".join(["set -eu", begin, login, transfer, refresh, step_up, TRY_THE_TOKEN])
    typed_codes = re.findall(r"^CODE=….*$", calls, flags=re.MULTILINE)
    assert len(typed_codes) == 2
    return re.sub(r"^CODE=….*$", lambda _: READ_THE_CODE, calls, flags=re.MULTILINE)


def typed(home: str) -> subprocess.CompletedProcess[str]:
    """Run the commands in a shell without the developer's settings."""
    environment = {**os.environ, "BP_HOME": home}
    return subprocess.run(
        ["/bin/bash", "-c", script(home)],
        cwd=REPO,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled_s(WITHIN_S),
    )


async def test_a_newcomer_logs_in_pays_and_logs_out_by_the_readme(bank: Bank) -> None:
    """The commands run unchanged, but a loop and not a person reads the codes."""
    done = await asyncio.to_thread(typed, str(bank.stack.home.root))
    assert done.returncode == 0, done.stderr
    assert '"state":"SUBMITTED"' in done.stdout.replace(" ", "")
