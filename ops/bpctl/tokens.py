"""`bpctl token`: get a customer's access token from the sandbox's provider, without a login.

It is a tool of the sandbox. Customers log in with their password, a one-time code and biometrics.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Annotated, NoReturn

import typer

from ops.bpctl import connections

GRANT = "customer"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def token(  # pyright: ignore[reportUnusedFunction]
        customer: Annotated[str, typer.Option(help="User name (such as ana) or customer id.")],
        scope: Annotated[str, typer.Option(help="Scopes, space-separated; empty: all.")] = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer.")] = False,
    ) -> None:
        """Print a customer's access token, and nothing else, on stdout.

        This is a sandbox tool: it gets a token without a login. Customers do not log in this way;
        they use a password, a one-time code and biometrics.
        """
        answer = issue(customer_id(customer), scope)
        typer.echo(json.dumps(answer) if as_json else answer["access_token"])


def issue(subject: str, scope: str = "") -> dict[str, str]:
    """Ask the OAuth provider, as the client `bp-mobile`, for any customer's token. Only the
    sandbox's provider has this grant."""
    where = connections.addresses()
    client = connections.secret("external/oauth")
    form = {
        "grant_type": GRANT,
        "client_id": client["client_id"],
        "client_secret": client["client_secret"],
        "subject": subject,
    }
    if scope:
        form["scope"] = scope
    url = f"{where['BP_PARTNER_OAUTH_URL']}/token"
    ca_file = where["BP_PARTNER_OAUTH_CA_FILE"]
    return connections.call("POST", url, form=form, ca_file=ca_file, refused=refused)


def refused(code: int, said: str) -> NoReturn:
    """Exit with one sentence when the provider answers with an error, which RFC 6749 defines."""
    try:
        answer = json.loads(said)
        parts = [answer["error"], answer.get("error_description", "")]
    except (ValueError, KeyError, TypeError):
        parts = [said or str(code)]
    text = ", ".join(" ".join(str(part).split()) for part in parts if part).rstrip(".")
    connections.fail(f"The OAuth provider refused the token: {text}.")


def customer_id(name: str) -> str:
    """Return the id of the customer with a user name; an id is returned unchanged."""
    if not name.strip():
        connections.fail("The customer is empty. Give a user name or a customer id.")
    try:
        return str(uuid.UUID(name))
    except ValueError:
        return asyncio.run(_look_up(name))


async def _look_up(name: str) -> str:
    connection = await connections.connect("bp_customers")
    try:
        found = await connection.fetchval(
            "SELECT customer_id FROM customers.customer WHERE user_name = $1", name
        )
    finally:
        await connection.close()
    if found is None:
        connections.fail(f"No customer is called {name}. Give a user name or a customer id.")
    return str(found)
