"""Another user of the machine can neither read the bank's files nor use its control interfaces."""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.provision.vault import CERT_AGENT
from sandbox.stack import lock, memory
from sandbox.stack.home import REPO, Home
from sandbox.stack.testing import RunningStack

STRANGER = 64_999
"""A user id of no account."""
LOOPBACK = "0100007F"
LISTENING = "0A"
DOCUMENT = REPO / "docs" / "one-machine.md"

# Runs as the stranger, with the home as its working directory: prints the paths that it can use.
ATTEMPT = """
import json, os, socket, stat, sys
usable = []
for path, mode in json.load(sys.stdin):
    try:
        if stat.S_ISSOCK(mode):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
        elif stat.S_ISDIR(mode):
            os.listdir(path)
        else:
            os.close(os.open(path, os.O_RDONLY))
    except PermissionError:
        if not stat.S_ISSOCK(mode) and os.access(path, os.W_OK):
            usable.append(path)
    except OSError:
        pass
    else:
        usable.append(path)
print(json.dumps(usable))
"""


def entries(root: Path) -> Iterator[tuple[str, int]]:
    """Yield the relative path and the mode of everything below a folder, links left out."""
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(folder, name)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:
                continue  # a temporary file of a running store
            if not stat.S_ISLNK(mode):
                yield str(path.relative_to(root)), mode


def everything(root: Path) -> list[tuple[str, int]]:
    """Return a folder and everything below it."""
    return [(".", root.stat().st_mode), *entries(root)]


def usable_by_a_stranger(root: Path) -> list[str]:
    """Return the paths below `root` that a user outside the bank's groups can access."""
    found = everything(root)
    if os.geteuid() != 0:  # only root may become another user; others compare modes
        return open_to_others(found)
    ids = (f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups")
    done = subprocess.run(
        ["setpriv", *ids, sys.executable, "-I", "-S", "-c", ATTEMPT],
        cwd=root,  # entered before the user changes, so that the folders above protect nothing
        input=json.dumps(found),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def open_to_others(found: list[tuple[str, int]]) -> list[str]:
    """Return the paths that grant group or others a right and that these users can reach."""
    modes = dict(found)
    return [
        path
        for path, mode in found
        if mode & (0o022 if stat.S_ISSOCK(mode) else 0o066)
        and all(modes[str(above)] & 0o011 for above in Path(path).parents if path != ".")
    ]


def processes(stack: RunningStack) -> list[int]:
    """Return the supervisor and all processes below it."""
    (pid,) = [int(stack.home.lock_file.read_text())]
    return memory.descendants(pid)


def test_a_strangers_attempts_find_what_is_open(tmp_path: Path) -> None:
    assert STRANGER not in {entry.pw_uid for entry in pwd.getpwall()}
    for folder, mode in (("open", 0o755), ("closed", 0o700)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder).chmod(mode)  # regardless of this process's umask
    for folder in ("open", "closed"):
        (tmp_path / folder / "file").write_text("a customer's name")
        (tmp_path / folder / "file").chmod(0o644)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / folder / "socket"))
            (tmp_path / folder / "socket").chmod(0o777)
            server.listen()
            tmp_path.chmod(0o711)
            found = set(usable_by_a_stranger(tmp_path))
            assert set(open_to_others(everything(tmp_path))) == found
        assert (f"{folder}/socket" in found) == (folder == "open")
        (tmp_path / folder / "socket").unlink()
    assert {"open", "open/file"} <= found
    assert {".", "closed", "closed/file"}.isdisjoint(found)


def test_a_stranger_can_use_no_file_folder_or_socket_of_a_running_bank(
    stack: RunningStack,
) -> None:
    assert usable_by_a_stranger(stack.home.root) == []
    assert usable_by_a_stranger(stack.home.run) == []


def test_the_token_that_can_issue_every_identity_is_in_no_file(stack: RunningStack) -> None:
    tokens = {file.parent.name for file in stack.home.run.glob("*/token")}
    assert {"payments", "bpctl"} <= tokens
    assert CERT_AGENT not in tokens


def test_every_process_of_the_bank_creates_files_for_its_own_user_only(
    stack: RunningStack,
) -> None:
    wrong: dict[str, str] = {}
    pids = processes(stack)
    assert len(pids) > len(stack.nodes()) / 2
    for pid in pids:
        try:
            told = Path(f"/proc/{pid}/status").read_text()
        except FileNotFoundError:
            continue  # a helper process that has just ended
        umask = re.search(r"^Umask:\s*(\d+)$", told, re.MULTILINE)
        if umask is not None and int(umask.group(1), 8) & 0o077 != 0o077:
            wrong[Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")] = umask.group(1)
    assert wrong == {}


def listening_ports(pids: list[int]) -> dict[int, str]:
    """Return the TCP ports on which these processes listen, each with its address in hex."""
    inodes: set[str] = set()
    for pid in pids:
        try:
            handles = list(Path(f"/proc/{pid}/fd").iterdir())
        except (FileNotFoundError, PermissionError):
            continue
        for handle in handles:
            try:
                inodes.add(os.readlink(handle))
            except OSError:
                continue
    found: dict[int, str] = {}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and f"socket:[{fields[9]}]" in inodes:
                address, _, port = fields[1].rpartition(":")
                found[int(port, 16)] = address
    return found


def documented_ports() -> list[str]:
    """Return the names of ports in the table of ports of docs/one-machine.md."""
    table = DOCUMENT.read_text().partition("| port |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_only_the_documented_ports_listen_and_only_on_the_loopback(stack: RunningStack) -> None:
    ports = json.loads((stack.home.conf / "ports.json").read_text())
    names = {port: name for name, port in ports.items()}
    found = listening_ports(processes(stack))
    assert "gateway" in {names.get(port) for port in found}
    patterns = [re.escape(name).replace("…", ".+") for name in documented_ports()]
    undocumented = {
        port: names.get(port)
        for port in found
        if not any(re.fullmatch(pattern, names.get(port, "")) for pattern in patterns)
    }
    assert undocumented == {}
    # Java opens an IPv6 socket that is bound to the mapped IPv4 address.
    assert {port: at for port, at in found.items() if not at.endswith(LOOPBACK)} == {}


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_the_folders_of_a_home_are_closed_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    home = Home(tmp_path / "home")
    before = os.umask(umask)
    try:
        home.root.mkdir()
        (home.root / "logs").mkdir()  # by an earlier version
        home.create()
    finally:
        os.umask(before)
    assert usable_by_a_stranger(home.root) == []


@pytest.fixture
def open_home(tmp_path: Path) -> Iterator[Home]:
    """A home as the first versions created it: modes by umask 022, lock in the run directory."""
    home = Home(tmp_path / "home")
    before = os.umask(0o022)
    try:
        for folder in ("logs", "data/kafka/payments-0", "certs/payments"):
            (home.root / folder).mkdir(parents=True)
        for folder in ("relay", "pg"):
            (home.run / folder).mkdir(parents=True)
        for file in ("env", "logs/payments.log", "data/kafka/payments-0/0.log"):
            (home.root / file).write_text("a customer's name")
        home.earlier_lock_file.write_text("1")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(home.run / "relay" / "in-0.metrics.sock"))
    finally:
        os.umask(before)
    yield home
    home.remove_run()


def test_what_an_earlier_version_left_open_is_closed_at_every_depth(
    open_home: Home, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("not of the bank")
    outside.chmod(0o644)
    (open_home.logs / "link").symlink_to(outside)
    open_home.create()
    assert lock.earlier_ended(open_home)
    # A process already in an inner folder could still read there, so each folder is closed.
    for root, passable in ((open_home.root, {".", "data", "run"}), (open_home.run, {"."})):
        modes = {path: stat.S_IMODE(mode) for path, mode in everything(root)}
        still_open = {path: mode for path, mode in modes.items() if mode & 0o077}
        assert still_open == dict.fromkeys(passable & modes.keys(), 0o711)
        assert usable_by_a_stranger(root) == []
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644


@pytest.mark.parametrize("taken_by", ["a link", "a folder", "a file"])
def test_a_run_directory_whose_name_another_user_took_gets_a_new_name(
    tmp_path: Path, taken_by: str
) -> None:
    """Regression: the bank did not start, because anybody can create any name in /tmp."""
    if taken_by == "a folder" and os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    home = Home(tmp_path.joinpath(*["deep-folder"] * 12))
    precious = tmp_path / "precious"
    precious.mkdir(mode=0o700)
    taken = home.run
    match taken_by:
        case "a link":
            taken.symlink_to(precious)
        case "a folder":
            taken.mkdir()
            os.chown(taken, STRANGER, STRANGER)
        case _:
            taken.touch()
    try:
        home.create()
        assert home.run != taken
        assert Home(home.root).run == home.run == (home.root / "run").resolve()
        assert (home.run.stat().st_uid, stat.S_IMODE(home.run.stat().st_mode)) == (
            os.geteuid(),
            0o711,
        )
        home.remove_run()
        assert os.path.lexists(taken)
        assert list(precious.iterdir()) == []
        assert stat.S_IMODE(precious.stat().st_mode) == 0o700
    finally:
        home.remove_run()
        taken.rmdir() if taken_by == "a folder" else taken.unlink()
