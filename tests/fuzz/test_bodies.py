"""Bodies that no client library would send are refused with their reason; nothing is debited."""

import json
from typing import Any

import pytest

from tests.fuzz.wire import PATH, PAYEE, Case, order, post, refused, request, require_silence
from tests.rigs.running_bank import Bank, Customer

pytestmark = pytest.mark.judged_with_its_module

MALFORMED, UNKNOWN, INVALID = "MALFORMED_BODY", "UNKNOWN_FIELD", "INVALID_ARGUMENT"
LARGE = "REQUEST_TOO_LARGE"
USD = "USD"


def money(value: str) -> bytes:
    """Return an amount whose minorUnits consist of exactly these characters."""
    return b'{"currencyCode":"USD","minorUnits":%s}' % value.encode()


def spelled(payer: Customer, name: str, raw: bytes) -> bytes:
    """Return a valid order with one field replaced by exactly these bytes."""
    whole = json.dumps(order(payer, **{name: "@@"})).encode()
    return whole.replace(b'"@@"', raw)


def cases_of_shape(ana: Customer) -> list[tuple[str, Any, str]]:
    """Return bodies that are not JSON, or JSON of another shape."""
    good = json.dumps(order(ana)).encode()
    deep = b'{"beneficiary":' * 3_000 + b"{}" + b"}" * 3_000
    return [
        ("cut off", good[:-1], MALFORMED),
        ("a comma at the end", good[:-1] + b",}", MALFORMED),
        ("two objects", good + good, MALFORMED),
        ("a byte order mark", b"\xef\xbb\xbf" + good, MALFORMED),
        ("UTF-16", good.decode().encode("utf-16"), MALFORMED),
        ("single quotes", good.replace(b'"', b"'"), MALFORMED),
        ("a comment", good[:-1] + b"/* */}", MALFORMED),
        ("nested by objects", deep, UNKNOWN),
        ("nested by lists", b'{"memo":' + b"[" * 20_000 + b"]" * 20_000 + b"}", MALFORMED),
        ("deep in an unknown field", b'{"x":' + b'{"a":' * 9_000 + b"}" * 9_001, UNKNOWN),
        ("a key twice", good[:-1] + b',"memo":"b"}', MALFORMED),
        ("a key twice, escaped", good[:-1] + b',"mem\\u006f":"b"}', UNKNOWN),
        ("a key in both spellings", good[:-1] + b',"account_id":"b"}', MALFORMED),
        ("an amount twice", spelled(ana, "amount", b'{"minorUnits":1,"minorUnits":2}'), MALFORMED),
        ("an empty key", good[:-1] + b',"":1}', UNKNOWN),
        ("a prototype", good[:-1] + b',"__proto__":{"admin":true}}', UNKNOWN),
        ("4,000 unknown keys", json.dumps({f"k{n}": n for n in range(4_000)}).encode(), UNKNOWN),
        ("a type URL", good[:-1] + b',"@type":"type.googleapis.com/x"}', UNKNOWN),
        ("a list for the whole", b"[" + good + b"]", MALFORMED),
    ]


def cases_of_money(ana: Customer) -> list[tuple[str, Any, str]]:
    """Return amounts that are malformed, out of range, or in another currency."""
    numbers = [
        ("zero", "0", "AMOUNT_NOT_POSITIVE"),
        ("zero as text", '"0"', "AMOUNT_NOT_POSITIVE"),
        ("minus zero", "-0", "AMOUNT_NOT_POSITIVE"),
        ("negative", "-1000", "AMOUNT_NOT_POSITIVE"),
        ("negative as text", '"-1000"', "AMOUNT_NOT_POSITIVE"),
        ("the lowest int64", '"-9223372036854775808"', "AMOUNT_NOT_POSITIVE"),
        ("the highest int64 as number", "9223372036854775807", "AMOUNT_LIMIT_EXCEEDED"),
        ("beyond a double as number", "9007199254740993", "AMOUNT_LIMIT_EXCEEDED"),
        ("beyond the balance", "600000", "INSUFFICIENT_FUNDS"),
        ("one above int64", "9223372036854775808", MALFORMED),
        ("one below int64", '"-9223372036854775809"', MALFORMED),
        ("a thousand digits", "1" * 1_000, MALFORMED),
        ("a fraction that is none", "1000.0", MALFORMED),
        ("an exponent", "1e3", MALFORMED),
        ("an exponent as text", '"1e3"', MALFORMED),
        ("an infinite exponent", "1e999999", MALFORMED),
        ("hexadecimal", '"0x10"', MALFORMED),
        ("octal", "0100", MALFORMED),
        ("a plus", '"+100"', MALFORMED),
        ("spaces", '" 100"', MALFORMED),
        ("a separator", '"1,000"', MALFORMED),
        ("Arabic digits", '"\u0661\u0662"', MALFORMED),
        ("not a number", "NaN", MALFORMED),
        ("infinity", "Infinity", MALFORMED),
        ("a list", "[100]", MALFORMED),
        ("an object", '{"value":100}', MALFORMED),
        ("null", "null", "AMOUNT_NOT_POSITIVE"),
    ]
    found: list[tuple[str, Any, str]] = [
        (w, spelled(ana, "amount", money(text)), reason) for w, text, reason in numbers
    ]
    for code, reason in {
        "EUR": "CURRENCY_UNSUPPORTED",
        "XAU": "CURRENCY_UNSUPPORTED",
        "US": INVALID,
        "USD ": INVALID,
        "": INVALID,
        "\u0055\u0053\u0044\u0000": INVALID,
        "\uff35\uff33\uff24": INVALID,
    }.items():
        amount = {"currencyCode": code, "minorUnits": "1000"}
        found.append((f"currency {code!r}", order(ana, amount=amount), reason))
    return found


def cases_of_text(ana: Customer) -> list[tuple[str, Any, str]]:
    """Return text with characters that no name or memo may contain."""
    hostile = {
        "NUL": "a\0b",
        "a right-to-left override": "Bo\u202eRivera",
        "an isolate": "\u2066Bo",
        "a zero-width space": "Bo\u200bRivera",
        "a newline": "a\nb",
        "an escape": "\x1b[31m",
        "a private character": "\ue000",
        "an embedding": "Bo\u202b Rivera",
        "a mark of direction": "Bo\u200f",
        "as long as the gateway takes": "x" * 60_000,
    }
    found: list[tuple[str, Any, str]] = []
    for what, text in hostile.items():
        found.append((f"memo: {what}", order(ana, memo=text), INVALID))
        found.append((f"name: {what}", order(ana, beneficiary=PAYEE | {"name": text}), INVALID))
    raw = {
        "a lone byte": b'"\xff"',
        "an overlong slash": b'"\xc0\xaf"',
        "a surrogate": b'"\xed\xa0\x80"',
        "half a surrogate pair": b'"\\ud800"',
        "a wrong pair": b'"\\udc00\\ud800"',
        "a raw tab": b'"a\tb"',
        "a raw NUL": b'"a\0b"',
        "an unknown escape": b'"\\x41"',
        "beyond Unicode": b'"\xf4\x90\x80\x80"',
    }
    found += [(f"memo: {w}", spelled(ana, "memo", text), MALFORMED) for w, text in raw.items()]
    for name in ("accountNumber", "routingNumber"):
        for text in ("", "1" * 40, "12 34", "\u0661" * 9, "021000021\n"):
            changed = PAYEE | {name: text}
            found.append((f"{name} {text!r}", order(ana, beneficiary=changed), INVALID))
    for text in (
        "",
        "1",
        "{" + str(ana.account_id) + "}",
        ana.account_id.hex,
        f"{ana.account_id}\n",
    ):
        found.append((f"account {text!r}", order(ana, accountId=text), INVALID))
    return found


def cases_of_kind(ana: Customer) -> list[tuple[str, Any, str]]:
    """Return values of a JSON type other than the documented one."""
    wrong: dict[str, list[Any]] = {
        "memo": [5, True, ["rent"], {"text": "rent"}],
        "accountId": [5, False, [str(ana.account_id)], {"id": str(ana.account_id)}],
        "amount": [1000, "10.00", True, [1000]],
        "beneficiary": ["Bo", 7, [PAYEE], False],
    }
    inner = {"name": [7, [], {}], "accountNumber": [7301958264], "accountType": [1, "checking", []]}
    found = [
        (f"{name} is {value!r:.40}", order(ana, **{name: value}), MALFORMED)
        for name, values in wrong.items()
        for value in values
    ]
    return found + [
        (
            f"{name} of the payee is {value!r}",
            order(ana, beneficiary=PAYEE | {name: value}),
            MALFORMED,
        )
        for name, values in inner.items()
        for value in values
    ]


async def _nothing_passes(bank: Bank, ana: Customer, table: list[tuple[str, Any, str]]) -> None:
    cases = [Case(what, post(ana, content), 400, reason) for what, content, reason in table]
    assert await refused(bank, cases) == []
    assert await bank.posted(ana) == 5_000_00
    require_silence(bank, ana.token)


async def test_json_of_another_shape_is_refused(bank: Bank) -> None:
    ana = await bank.customer()
    await _nothing_passes(bank, ana, cases_of_shape(ana))


async def test_a_malformed_amount_is_refused(bank: Bank) -> None:
    ana = await bank.customer()
    await _nothing_passes(bank, ana, cases_of_money(ana))


async def test_text_with_forbidden_characters_is_refused(bank: Bank) -> None:
    ana = await bank.customer()
    await _nothing_passes(bank, ana, cases_of_text(ana))


async def test_values_of_another_type_are_refused(bank: Bank) -> None:
    ana = await bank.customer()
    await _nothing_passes(bank, ana, cases_of_kind(ana))


async def test_a_string_of_64_kb_is_refused_in_every_place(bank: Bank) -> None:
    ana = await bank.customer()
    text = "x" * 65_536
    bodies = {
        "a memo": order(ana, memo=text),
        "a name": order(ana, beneficiary=PAYEE | {"name": text}),
        "an amount": order(ana, amount={"currencyCode": USD, "minorUnits": "1" * 65_536}),
        "an account": order(ana, accountId=text),
        "a field's name": order(ana, **{text: 1}),
    }
    cases = [Case(w, post(ana, body), 413, LARGE) for w, body in bodies.items()]
    heads = {
        "a key": post(ana, order(ana), key=text),
        "a query": request("GET", f"/v1/accounts?pageToken={text}", token=ana.token),
        "a token": request("GET", "/v1/accounts", token=text),
    }
    cases += [Case(w, raw, 431, LARGE) for w, raw in heads.items()]
    assert await refused(bank, cases) == []
    assert await bank.posted(ana) == 5_000_00
    require_silence(bank, ana.token)


async def test_an_int64_is_the_same_as_number_and_as_text(bank: Bank) -> None:
    ana = await bank.customer()
    for units in (1234, "1234"):
        body = order(ana, amount={"currencyCode": "USD", "minorUnits": units})
        answer = await bank.call("POST", "/v1/transfers/interbank", ana.token, body, _key(units))
        assert answer.body["amount"] == {"currencyCode": "USD", "minorUnits": "1234"}
    assert await bank.posted(ana) == 5_000_00 - 2 * 1234


def _key(units: object) -> dict[str, str]:
    return {"Idempotency-Key": f"number-or-text-{units!r}"}


async def test_a_body_of_ten_megabytes_is_refused_before_it_is_read(bank: Bank) -> None:
    ana = await bank.customer()
    huge = order(ana, memo="x" * 10_000_000)
    lines = ("Content-Type: application/json", "Idempotency-Key: k", "Transfer-Encoding: chunked")
    chunk = b"%x\r\n%b\r\n" % (1_000_000, b" " * 1_000_000)
    chunks = request("POST", PATH, *lines, token=ana.token) + chunk * 10 + b"0\r\n\r\n"
    cases = [
        Case("10 MB", post(ana, huge), 413, LARGE),
        Case("10 MB in chunks", chunks, 413, LARGE),
    ]
    assert await refused(bank, cases) == []
    assert await bank.posted(ana) == 5_000_00
