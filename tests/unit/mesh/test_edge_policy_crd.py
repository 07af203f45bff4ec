"""A cluster checks EdgePolicy by a schema that is made from the shape."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mesh import edge_policy_crd
from mesh.ctl import CONFIG

REPO = Path(__file__).parents[3]


def _schema() -> dict[str, Any]:
    version = edge_policy_crd.definition()["spec"]["versions"][0]
    return version["schema"]["openAPIV3Schema"]["properties"]["spec"]


def _parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for each in (*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])):
        yield from _parts(each)


def test_the_committed_file_is_the_present_one() -> None:
    committed = REPO / "k8s" / "base" / "mesh" / "edge-policy.crd.yaml"
    assert committed.read_text() == edge_policy_crd.text()


def test_the_schema_is_structural() -> None:
    """Every part has a type; an object has its properties, a list its items."""
    for each in _parts(_schema()):
        assert each["type"] in ("object", "array", "string", "integer")
        assert ("properties" in each) == (each["type"] == "object")
        assert ("items" in each) == (each["type"] == "array")


def test_the_banks_own_policy_has_exactly_the_fields_of_the_schema() -> None:
    documents = yaml.safe_load_all((CONFIG / "gateway.yaml").read_text())
    [policy] = [each for each in documents if each["kind"] == "EdgePolicy"]

    def compare(value: Any, schema: dict[str, Any]) -> None:
        if schema["type"] == "object":
            assert set(schema.get("required", value)) <= set(value)
            for key, each in value.items():
                compare(each, schema["properties"][key])
        elif schema["type"] == "array":
            for each in value:
                compare(each, schema["items"])

    compare(policy["spec"], _schema())
