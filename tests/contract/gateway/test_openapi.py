"""docs/openapi.json matches the contracts and has everything a client needs to call the bank."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.openapi.document import document

REPO = Path(__file__).parents[3]
_BUF = REPO / ".venv" / "bin" / "buf"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the document, freshly built from proto/."""
    out = tmp_path_factory.mktemp("openapi") / "full.binpb"
    command = [str(_BUF), "build", "-o", str(out), "--as-file-descriptor-set"]
    subprocess.run(command, cwd=REPO, check=True)
    return document(out.read_bytes())


def test_the_committed_document_is_current(built: dict[str, Any]) -> None:
    committed = json.loads((REPO / "docs" / "openapi.json").read_text())
    assert committed == built


def test_a_transfer_is_described_as_it_is_called(built: dict[str, Any]) -> None:
    create = built["paths"]["/v1/transfers/interbank"]["post"]
    assert create["security"] == [{"customer": ["transfers:write"]}]
    assert [p["name"] for p in create["parameters"]] == ["Idempotency-Key"]
    answer = create["responses"]["200"]["content"]["application/json"]
    assert answer["schema"] == {"$ref": "#/components/schemas/InterbankTransfer"}
    assert answer["example"]["state"] == "SUBMITTED"
    refused = _failure(built, create, "400")
    assert "INSUFFICIENT_FUNDS" in refused["description"]
    unavailable = _failure(built, create, "503")
    assert "ACH_UNAVAILABLE" in unavailable["description"]
    assert "Retry-After" in unavailable["headers"]


def test_only_a_request_with_a_required_field_needs_a_body(built: dict[str, Any]) -> None:
    """The gateway takes a logout without a body, and the document said that it refuses it."""
    needed = {
        path: built["paths"][path]["post"]["requestBody"]["required"]
        for path in ("/v1/auth/login", "/v1/auth/logout", "/v1/auth/step-up")
    }
    assert needed == {"/v1/auth/login": True, "/v1/auth/logout": False, "/v1/auth/step-up": True}


def test_every_reference_has_a_target(built: dict[str, Any]) -> None:
    for reference in _references(built):
        place: Any = built
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place


def test_everything_is_described(built: dict[str, Any]) -> None:
    for methods in built["paths"].values():
        for operation in methods.values():
            assert operation["description"]
            assert all(each["description"] for each in operation["parameters"])


def _failure(built: dict[str, Any], operation: dict[str, Any], status: str) -> dict[str, Any]:
    name = operation["responses"][status]["$ref"].rpartition("/")[2]
    return built["components"]["responses"][name]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [r for each in value.values() for r in _references(each)]
    return [r for each in value for r in _references(each)] if isinstance(value, list) else []


CREATED_BY = {
    "InterbankTransfer": "CreateInterbankTransferRequest",
    "BookTransfer": "CreateBookTransferRequest",
}
"""Resources that callers create -> the request. Only the bank creates the others."""


def test_what_only_the_bank_sets_is_read_only(built: dict[str, Any]) -> None:
    schemas = built["components"]["schemas"]
    resources = _resources(built)
    assert {"Notification", "Balance", *CREATED_BY} <= resources
    for resource in resources:
        asked = schemas[CREATED_BY[resource]]["properties"] if resource in CREATED_BY else {}
        for name, schema in schemas[resource]["properties"].items():
            assert schema.get("readOnly", False) is (name not in asked), f"{resource}.{name}"


def _resources(built: dict[str, Any]) -> set[str]:
    """Return the messages in responses, except the responses and values that requests have too."""
    schemas = built["components"]["schemas"]
    operations = [each for methods in built["paths"].values() for each in methods.values()]
    ahead = [name for each in operations for name in _names(each["responses"].get("200"))]
    seen: set[str] = set()
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += _names(schemas[name])
    return {
        name
        for name in seen
        if "properties" in schemas[name]
        and not name.endswith("Response")
        and f"{name}Input" not in schemas
    }


def _names(value: Any) -> list[str]:
    where = "#/components/schemas/"
    return [each.removeprefix(where) for each in _references(value) if each.startswith(where)]


def test_a_request_has_no_read_only_field(built: dict[str, Any]) -> None:
    for request in CREATED_BY.values():
        for schema in built["components"]["schemas"][request]["properties"].values():
            assert "readOnly" not in schema
