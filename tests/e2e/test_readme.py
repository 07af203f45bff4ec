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
for _ in $(seq 300); do
    CODE=$(./bpctl sandbox outbox sms --to +15556416073 | grep -oE '#[0-9]{6}$' | tail -c 7)
    [ -n "$CODE" ] && break
    sleep 0.2
done
"""
"""In place of the reader, who copies the code from the text message."""


def chapter(title: str) -> list[str]:
    """Return the commands of a chapter of the README."""
    text = (REPO / "README.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    return BLOCK.findall(text)


def script(home: str) -> str:
    """Return the login and the first calls of a transfer for a bank that runs already."""
    first, second = chapter("Log in by curl")
    begin = first.replace("make up ", ": ").replace(". .bp/env", f'. "{home}/env"')
    login = re.sub(r"^CODE=….*$", lambda _: READ_THE_CODE, second, flags=re.MULTILINE)
    assert READ_THE_CODE in login
    return f"set -eu\n{begin}\n{login}\n{chapter('A transfer by curl')[0]}"


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


async def test_a_newcomer_logs_in_and_pays_by_the_readme(bank: Bank) -> None:
    """The commands run unchanged, but the code is read by a loop and not by a person."""
    done = await asyncio.to_thread(typed, str(bank.stack.home.root))
    assert done.returncode == 0, done.stderr
    assert '"state":"SUBMITTED"' in done.stdout.replace(" ", "")
