"""What bpctl says when OpenBao or the OAuth provider refuses a request, and to an empty name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import typer

from ops.bpctl import connections, reviews, tokens, transfers

OF_OPENBAO = {
    "no right": (403, '{"errors":["1 error occurred:\\n\\t* permission denied\\n\\n"]}'),
    "sealed": (503, '{"errors":["Vault is sealed"]}'),
    "no such secret": (404, '{"errors":[]}'),
    "not JSON": (502, "Bad Gateway"),
    "not an object": (500, "[]"),
}
SAID = {
    "no right": "403 1 error occurred: * permission denied",
    "sealed": "503 Vault is sealed",
    "no such secret": "404 Not Found",
    "not JSON": "502 Bad Gateway",
    "not an object": "500 []",
}
EMPTY: dict[str, tuple[Callable[[], object], str]] = {
    "customer": (
        lambda: tokens.customer_id(" "),
        "The customer is empty. Give a user name or a customer id.",
    ),
    "transfer": (
        lambda: transfers.show(""),
        "The name is empty. Give an Idempotency-Key, a transfer id or a trace number.",
    ),
    "review": (
        lambda: reviews.show(""),
        "The transfer id is empty. `bpctl reviews list` shows the ids.",
    ),
}


@pytest.mark.parametrize("case", OF_OPENBAO)
def test_a_refusal_of_openbao_has_a_remedy(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end:
        connections.refused_by_openbao("GET secret/data/x")(*OF_OPENBAO[case])
    assert end.value.exit_code == 3
    said = f"OpenBao refused the request: GET secret/data/x: {SAID[case]}."
    assert capsys.readouterr().err == f"{said} Run `make down` and `make up`.\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            '{"error": "invalid_scope", "error_description": "allowed scopes: a b"}',
            "invalid_scope, allowed scopes: a b",
        ),
        ("Bad Gateway", "Bad Gateway"),
        ("", "400"),
    ],
)
def test_a_refusal_of_the_oauth_provider_is_one_sentence(
    answer: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as end:
        tokens.refused(400, answer)
    assert end.value.exit_code == 1
    assert capsys.readouterr().err == f"The OAuth provider refused the token: {said}.\n"


@pytest.mark.parametrize(("call", "said"), EMPTY.values(), ids=EMPTY)
def test_an_empty_name_is_a_sentence_with_the_choice(
    call: Callable[[], object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit):
        call()
    assert capsys.readouterr().err == f"{said}\n"
