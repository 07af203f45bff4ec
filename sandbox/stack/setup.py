"""Sets up a clone: checks the machine, makes .venv, copies Kafka's jars. Idempotent.

The machine's own Python runs it before anything is installed (`python3 sandbox/stack/setup.py`), so
it uses only the standard library. A stamp with the hash of the requirements makes it quick when
there is nothing to do. The duration of the first run is kept for the stack's report.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
VENV = REPO / ".venv"
POM = REPO / "sandbox" / "stack" / "kafka" / "pom.xml"
SETUP_REPORT = "bp-setup.json"
PYTHON_MIN = (3, 11)
JAVA_MIN = 17
INSTALL = {
    "apt-get": "sudo apt-get install -y python3 python3-venv openjdk-17-jre-headless maven make",
    "dnf": "sudo dnf install -y python3.11 java-17-openjdk-headless maven make",
    "zypper": "sudo zypper install -y python311 java-17-openjdk-headless maven make",
    "pacman": "sudo pacman -S --needed python jdk17-openjdk maven make",
}


def main(kind: str) -> int:
    """Set up for `run` (the stack) or `dev` (also tests and checks); return the exit code."""
    requirements = REPO / "requirements" / f"{kind}.txt"
    wanted = _digest(requirements, POM)
    if _done(kind) == wanted:
        return 0
    missing = missing_tools()
    if missing:
        print("Missing on this machine: " + ", ".join(missing), file=sys.stderr)
        print("Install with: " + install_line(), file=sys.stderr)
        return 1
    VENV.mkdir(exist_ok=True)
    with (VENV / "bp-setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a concurrent `make` waits
        if _done(kind) != wanted:
            _set_up(kind, requirements, wanted)
    return 0


def missing_tools() -> list[str]:
    """Return the tools that the machine lacks, with the required version."""
    missing: list[str] = []
    if sys.version_info < PYTHON_MIN:
        missing.append("Python 3.11 or newer")
    elif not _has_ensurepip():
        missing.append("Python's venv module")
    if (java_version() or 0) < JAVA_MIN:
        missing.append(f"Java {JAVA_MIN} or newer")
    if shutil.which("mvn") is None:
        missing.append("Maven")
    if shutil.which("make") is None:
        missing.append("make")
    if shutil.which("setpriv") is None:
        missing.append("util-linux (setpriv)")
    return missing


def _has_ensurepip() -> bool:
    try:
        import ensurepip
    except ImportError:
        return False
    return bool(ensurepip.version())


def java_version() -> int | None:
    """Return the major version of `java` in PATH, or None."""
    if shutil.which("java") is None:
        return None
    answer = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return int(found.group(1)) if found else None


def install_line() -> str:
    """Return the install command for this machine's package manager."""
    for tool, line in INSTALL.items():
        if shutil.which(tool):
            return line
    return "your package manager: Python 3.11+, Java 17+ (headless), Maven, make, util-linux"


def _set_up(kind: str, requirements: Path, wanted: str) -> None:
    begun = time.monotonic()
    python = VENV / "bin" / "python"
    if not python.exists():
        _say("making .venv")
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    _say(f"installing requirements/{kind}.txt")
    install = (str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check")
    subprocess.run([*install, "--require-hashes", "-r", str(requirements)], check=True)
    _say("copying Apache Kafka with Maven")
    fetch = "from sandbox.stack.parts import kafka as k; k.fetch_libs(k.default_libs())"
    subprocess.run([str(python), "-c", fetch], cwd=REPO, check=True)
    seconds = round(time.monotonic() - begun, 1)
    report = VENV / SETUP_REPORT
    if not report.exists():
        report.write_text(json.dumps({"setup_s": seconds, "kind": kind}))
    (VENV / f"bp-setup-{kind}.stamp").write_text(wanted)
    _say(f"setup finished in {seconds:.0f} s")


def _digest(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _done(kind: str) -> str:
    """Return the hash of the last complete setup of a kind; empty when there is none."""
    stamp = VENV / f"bp-setup-{kind}.stamp"
    return stamp.read_text() if stamp.exists() else ""


def _say(text: str) -> None:
    print(f"· {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "run"))
