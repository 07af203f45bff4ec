"""Connects bpctl to a running stack: its addresses, HTTP APIs, OpenBao and databases.

bpctl logs in to OpenBao with its own service account, like any service. Its database role is the
judge's, which can read everything and change nothing. Two commands have others: `bpctl reviews` the
reviewer's, which can record a decision about a transfer in review, and `bpctl auth` the operator's,
which can record a request to auth.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from ops import bank_home, own_folders
from ops.waiting import scaled_s

if TYPE_CHECKING:
    import asyncpg

HTTP_TIMEOUT_S = 60.0
ACCOUNT = "bpctl"
ENDPOINTS = "endpoints.json"
SUPERVISOR_SOCKET = "supervisor.sock"
"""Listens in BP_RUN while the bank runs."""
REPO = bank_home.REPO
NOT_RUNNING = "The bank is not running. Start it with `make up`."
CHECK = "Check with `make status` that the bank runs."
AGAIN = "Run `make down` and `make up`."
AWAY = 3
"""Exit code of a command that cannot reach the bank, or that a part of the bank refuses."""
Refusal = Callable[[int, str], NoReturn]
"""Ends a command, given the status and the text of a server's refusal."""


def fail(message: str, code: int = 1) -> NoReturn:
    """Print the message on stderr and exit with `code`."""
    typer.secho(message, fg=typer.colors.RED, err=True)
    raise typer.Exit(code)


def home() -> Path:
    """Return the state directory of the bank: BP_HOME, or `.bp` in the repository.

    PermissionError if it is a link.
    """
    return bank_home.named()


def addresses() -> dict[str, str]:
    """Return BP_HOME/endpoints.json; exit with code 3 when the stack was never started, or when it
    or the run folder belongs to another user."""
    path = home() / ENDPOINTS
    try:
        known = json.loads(path.read_text())
    except FileNotFoundError:
        fail(f"The bank was never started in {home()}. Run `make up`.", AWAY)
    except NotADirectoryError:
        fail(f"{home()} is not a folder. Set BP_HOME to the folder of the bank.", AWAY)
    except PermissionError:
        fail(f"The bank in {home()} belongs to another user. Run bpctl as that user.", AWAY)
    run = known.get("BP_RUN")
    # After the bank has stopped, another user can create a folder of this name.
    if run and not own_folders.is_run_folder(Path(run), home()):
        fail(NOT_RUNNING, AWAY)
    return known


def require_running() -> None:
    """Exit with code 3 when the bank is not running."""
    _run_folder()


def _run_folder() -> Path:
    """Return the run folder of the running bank; exit with code 3 when it is not running."""
    run = Path(addresses()["BP_RUN"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(run / SUPERVISOR_SOCKET))
        except OSError:
            fail(NOT_RUNNING, AWAY)
    # Checked after the connection: another user cannot replace a folder of this user.
    if not own_folders.is_run_folder(run, home()):
        fail(NOT_RUNNING, AWAY)
    return run


def refused_by(request: str) -> Refusal:
    """Return what ends a command whose request is refused: the server's message and exit code 1."""
    return lambda code, said: fail(f"{request}: {code} {said}")


def refused_by_openbao(request: str) -> Refusal:
    """Return what ends a command whose request OpenBao refuses: one sentence, and exit code 3,
    because the exit code 1 is for what a command finds."""

    def refused(code: int, said: str) -> NoReturn:
        try:
            known = json.loads(said)["errors"] or [http.client.responses.get(code, "")]
        except (ValueError, KeyError, TypeError):
            known = [said]
        text = " ".join(" ".join(map(str, known)).split()).rstrip(".")
        fail(f"OpenBao refused the request: {request}: {code} {text}. {AGAIN}", AWAY)

    return refused


def call(
    method: str,
    url: str,
    body: Any = None,
    *,
    form: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    ca_file: str | None = None,
    refused: Refusal | None = None,
) -> Any:
    """Send an HTTP request and return the JSON answer; exit with code 3 without an answer. An error
    as answer goes to `refused`, by default `refused_by`."""
    data, kind = None, {}
    if form is not None:
        data, kind = urllib.parse.urlencode(form).encode(), {}
    elif body is not None:
        data, kind = json.dumps(body).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(  # noqa: S310 addresses are the stack's own
        url, data=data, method=method, headers={**kind, **(headers or {})}
    )
    context = ssl.create_default_context(cafile=ca_file) if ca_file else None
    try:
        with urllib.request.urlopen(  # noqa: S310
            request, timeout=scaled_s(HTTP_TIMEOUT_S), context=context
        ) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace").strip()
        (refused or refused_by(f"{method} {url}"))(error.code, said)
    except OSError as error:
        fail(f"{method} {url}: {error}. {CHECK}", AWAY)
    return json.loads(text) if text else {}


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, within_s: float) -> None:
        super().__init__("partner", timeout=within_s)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def call_socket(
    path: Path,
    method: str,
    target: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
    refused: Refusal | None = None,
    waits_s: float = 0.0,
) -> Any:
    """Send an HTTP request over the Unix socket `path`, as `call` does over TCP.

    `waits_s` is how long the server may wait before it answers.
    """
    connection = _SocketConnection(path, scaled_s(HTTP_TIMEOUT_S) + waits_s)
    data = None if body is None else json.dumps(body)
    try:
        sent = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, target, data, sent)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        fail(f"{method} {path} {target}: {error}. {CHECK}", AWAY)
    finally:
        connection.close()
    if answer.status >= http.client.BAD_REQUEST:
        said = text.decode(errors="replace").strip()
        (refused or refused_by(f"{method} {path} {target}"))(answer.status, said)
    return json.loads(text) if text else {}


def vault_token() -> str:
    """Log in to OpenBao with bpctl's own service account; return the token."""
    run = _run_folder()
    login = {"role": ACCOUNT, "jwt": own_folders.read(run / ACCOUNT / "token", run)}
    return _openbao("POST", "auth/kubernetes/login", login)["auth"]["client_token"]


def vault_call(method: str, path: str, token: str, body: Any = None) -> Any:
    """Send a request to OpenBao's API with a token of `vault_token`; return the answer."""
    return _openbao(method, path, body, {"X-Vault-Token": token})


def _openbao(method: str, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    """Send a request over OpenBao's Unix socket, or to an OpenBao outside the bank."""
    known = addresses()
    # A bank that an earlier version started has only the public address.
    addr = known.get("BP_OPENBAO_PRIVATE_ADDR", known["BP_OPENBAO_ADDR"])
    scheme, _, socket_path = addr.partition("://")
    refused = refused_by_openbao(f"{method} {path}")
    if scheme == "unix":
        where = (Path(socket_path), method, f"/v1/{path}")
        return call_socket(*where, body, headers, refused=refused)
    where = (method, f"{addr}/v1/{path}")
    return call(*where, body, headers=headers, refused=refused)


def secret(path: str) -> dict[str, str]:
    """Return the fields of one KV secret, read with bpctl's own service account."""
    return vault_call("GET", f"secret/data/{path}", vault_token())["data"]["data"]


async def connect(database: str) -> asyncpg.Connection:
    """Connect to one of the bank's databases as the judge, which may only read."""
    return await judge_login()(database)


async def connect_reviewer() -> asyncpg.Connection:
    """Connect to the Write DB as the reviewer, who may only record decisions."""
    return await _login("reviewer")("bp_write")


async def connect_operator() -> asyncpg.Connection:
    """Connect to auth's database as the operator, who may only record requests."""
    return await _login("operator")("bp_auth")


def judge_login() -> Callable[[str], Awaitable[asyncpg.Connection]]:
    """Read the judge's password once; return a function that connects to a database."""
    return _login("judge")


def _login(name: str) -> Callable[[str], Awaitable[asyncpg.Connection]]:
    import asyncpg  # imported here: most commands need no database and start faster without it

    login = secret(f"database/postgres/{name}")

    async def open_database(database: str) -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                host=login["host"],
                port=int(login["port"]),
                user=login["username"],
                password=login["password"],
                database=database,
            )
        except OSError as error:  # which does not name the server
            where = f"PostgreSQL at {login['host']}:{login['port']}"
            raise ConnectionError(f"{where}: {error or 'no answer'}") from error

    return open_database
