"""An invalid token is treated as a missing one and never appears in a log."""

import base64
import hashlib
import hmac
import json
import ssl
from typing import Any

import pytest
from joserfc.jwk import ECKey

from tests.fuzz.wire import Case, ask, order, post, refused, request, require_silence
from tests.rigs.running_bank import Bank, Customer

pytestmark = pytest.mark.judged_with_its_module

READ = "/v1/accounts"
UNAUTHENTICATED = "UNAUTHENTICATED"
KIDS = {
    "a path": "../../../../dev/null",
    "a file": "/etc/passwd",
    "SQL": "x' UNION SELECT 'secret' --",
    "a URL": "https://evil.example/jwks.json",
    "a command": "$(id)",
    "a NUL": "key\0",
    "4 KB": "k" * 4_096,
    "a list": ["a", "b"],
    "a number": 7,
    "null": None,
}


def part(value: Any) -> str:
    """Return one part of a token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def head_of(token: str) -> dict[str, Any]:
    """Return a token's header."""
    text = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def with_head(token: str, **changes: Any) -> str:
    """Return the token with a changed header and its old signature."""
    _, claims, signature = token.split(".")
    return f"{part(head_of(token) | changes)}.{claims}.{signature}"


def by_hmac(token: str, secret: bytes, kind: str, **changes: Any) -> str:
    """Return the token's claims, signed by HMAC with a secret that is public or empty."""
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[kind]
    signed = f"{part(head_of(token) | {'alg': kind} | changes)}.{token.split('.')[1]}"
    return f"{signed}.{part(hmac.new(secret, signed.encode(), digest).digest())}"


async def public_keys(bank: Bank) -> dict[str, bytes]:
    """Return the provider's public keys in each form that a careless verifier could use."""
    tls = ssl.create_default_context(cafile=bank.where["BP_PARTNER_OAUTH_CA_FILE"])
    async with bank.session.get(bank.where["BP_PARTNER_OAUTH_URL"] + "/jwks", ssl=tls) as answer:
        text = await answer.read()
    found = {"the key set": text}
    for jwk in json.loads(text)["keys"]:
        pem = ECKey.import_key(jwk).as_pem(private=False)
        name = f"key {jwk['kid']}"
        found |= {f"{name} as PEM": pem, f"{name} as PEM without its end": pem.strip()}
        found |= {f"{name} as JSON": json.dumps(jwk).encode(), f"{name}, x": jwk["x"].encode()}
    return found


async def forged(bank: Bank, ana: Customer) -> dict[str, str]:
    """Return tokens with a false header or a false signature."""
    good = ana.token
    claims = good.split(".")[1]
    found = {f"kid is {what}": with_head(good, kid=kid) for what, kid in KIDS.items()}
    for what, kid in KIDS.items():
        found[f"empty HMAC key, kid is {what}"] = by_hmac(good, b"", "HS256", kid=kid)
    for what, secret in (await public_keys(bank)).items():
        for kind in ("HS256", "HS384", "HS512"):
            found[f"{kind} with {what}"] = by_hmac(good, secret, kind)
    for alg in ("none", "None", "NONE", "nOnE", "", None, "ES256K", "RS256", "ES512"):
        found[f"alg {alg}, no signature"] = f"{part(head_of(good) | {'alg': alg})}.{claims}."
        found[f"alg {alg}, old signature"] = with_head(good, alg=alg)
    jwk = {"kty": "oct", "k": part(b"secret")}
    found |= {
        "its own key": with_head(good, jwk=jwk, kid=None),
        "a foreign key set": with_head(good, jku="https://evil.example/jwks", kid="evil"),
        "a foreign certificate": with_head(good, x5u="https://evil.example/x", kid="evil"),
        "critical": with_head(good, crit=["exp"]),
        "compressed": with_head(good, zip="DEF"),
        "a signature of zeros": good.rsplit(".", 1)[0] + "." + part(bytes(64)),
        "an empty signature": good.rsplit(".", 1)[0] + ".",
        "four parts": good + ".x",
        "five parts": "a.b.c.d.e",
        "dots": "..",
        "no JSON": f"{part(b'{')}.{claims}.x",
        "8 KB": "a" * 8_192,
        "a NUL in base64": good[:10] + "%00" + good[10:],
    }
    return found


async def untrue(bank: Bank, ana: Customer) -> dict[str, str]:
    """Return tokens that the provider signed, but for another audience or another time."""
    wrong: dict[str, dict[str, Any]] = {
        "expired": {"exp": 1},
        "expired before it was given": {"exp": -1},
        "an expiry beyond numbers": {"exp": "tomorrow"},
        "not yet": {"nbf": 4_102_444_800},
        "no audience": {"aud": None},
        "an empty audience": {"aud": []},
        "a longer audience": {"aud": "https://api.bp.example.evil"},
        "another issuer": {"iss": "https://oauth.example/"},
        "no issuer": {"iss": None},
    }
    found = {
        what: await bank.token(ana.customer_id, claims=claims) for what, claims in wrong.items()
    }
    return found | {"just expired": await bank.token(ana.customer_id, lifetime_s=-10)}


async def test_a_forged_or_invalid_token_is_refused(bank: Bank) -> None:
    ana = await bank.customer()
    tokens = await forged(bank, ana) | await untrue(bank, ana)
    cases = [
        Case(what, request("GET", READ, token=token), 401, UNAUTHENTICATED)
        for what, token in tokens.items()
    ]
    assert await refused(bank, cases) == []
    require_silence(bank, ana.token, *(t for t in tokens.values() if len(t) > 40))


async def test_the_header_holds_one_bearer_token(bank: Bank) -> None:
    ana, eve = await bank.customer(), await bank.customer()
    lines: dict[str, list[str]] = {
        "twice": [f"Authorization: Bearer {ana.token}", f"Authorization: Bearer {eve.token}"],
        "two in one": [f"Authorization: Bearer {ana.token}, Bearer {eve.token}"],
        "basic": [f"Authorization: Basic {part(b'ana:secret')}"],
        "no scheme": [f"Authorization: {ana.token}"],
        "another header": [f"X-Authorization: Bearer {ana.token}"],
        "a cookie": [f"Cookie: access_token={ana.token}"],
        "Latin-1": ["Authorization: Bearer \xe9\xff"],
        "empty": ["Authorization: Bearer "],
    }
    cases = [Case(w, request("GET", READ, *h), 401, UNAUTHENTICATED) for w, h in lines.items()]
    in_query = request("GET", f"{READ}?access_token={ana.token}")
    cases.append(Case("in the query", in_query, 401, UNAUTHENTICATED))
    assert await refused(bank, cases) == []
    require_silence(bank, ana.token, eve.token)


async def test_a_subject_that_is_no_customer_gets_nothing(bank: Bank) -> None:
    ana = await bank.customer()
    for subject in ("", "ana", "0" * 400, "'; --", "\u202e", str(ana.customer_id) + " "):
        token = await bank.token(subject)
        answer = await ask(bank, request("GET", READ, token=token))
        assert (answer.status, answer.reason) == (401, UNAUTHENTICATED), (subject, answer)
    stranger = await bank.token("01938a5e-7a10-7c3e-9d52-3f0b6c1e8a2a")
    answer = await ask(bank, request("GET", "/v1/customers/me", token=stranger))
    assert (answer.status, answer.reason) == (404, "CUSTOMER_NOT_FOUND")


async def test_an_order_with_a_forged_token_debits_nothing(bank: Bank) -> None:
    ana = await bank.customer()
    good = post(ana, order(ana))
    for token in (by_hmac(ana.token, b"", "HS256"), with_head(ana.token, alg="none")):
        answer = await ask(bank, good.replace(ana.token.encode(), token.encode()))
        assert (answer.status, answer.reason) == (401, UNAUTHENTICATED)
    assert await bank.posted(ana) == 5_000_00
    require_silence(bank, ana.token)
