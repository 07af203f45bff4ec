"""Writes EdgePolicy as a CustomResourceDefinition, so that a cluster checks it as one machine does.

python -m mesh.edge_policy_crd TARGET

The schema comes from controlplane/ingest/edge_policy.py. It is structural, as Kubernetes requires:
without references, and without additionalProperties where the properties are known.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mesh.controlplane.ingest.edge_policy import EdgePolicySpec

_GROUP, _VERSION = "mesh.bp.internal", "v1"
_DURATION = r"^([0-9]+h)?([0-9]+m)?([0-9]+(\.[0-9]+)?s)?([0-9]+ms)?$"
_KEPT = {
    *("type", "description", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength"),
    *("minItems", "maxItems", "required"),
}
_HEAD = "# Generated from mesh/controlplane/ingest/edge_policy.py by `make gen`. Do not edit.\n"


def definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition."""
    found = EdgePolicySpec.model_json_schema(by_alias=True)
    spec = _structural(found, found["$defs"])
    schema = {"type": "object", "required": ["spec"], "properties": {"spec": spec}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"edgepolicies.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": "EdgePolicy",
                "listKind": "EdgePolicyList",
                "plural": "edgepolicies",
                "singular": "edgepolicy",
            },
            "versions": [
                {
                    "name": _VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def _structural(found: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON schema as Kubernetes accepts it."""
    if "$ref" in found:
        return _structural(named[found["$ref"].rpartition("/")[2]], named)
    made = {key: value for key, value in found.items() if key in _KEPT}
    if found.get("format") == "duration":
        made["pattern"] = _DURATION
    if "items" in found:
        made["items"] = _structural(found["items"], named)
    keys = found.get("propertyNames")
    if keys is not None:
        inner = found["additionalProperties"]
        names = keys.get("enum", [keys.get("const")])
        made["properties"] = {name: _structural(inner, named) for name in names}
    elif "properties" in found:
        inner = found["properties"]
        made["properties"] = {name: _structural(each, named) for name, each in inner.items()}
    return made


def text() -> str:
    """Return the definition as YAML."""
    # Through JSON, so that no part is shared: YAML would write an alias.
    plain = json.loads(json.dumps(definition()))
    return _HEAD + yaml.safe_dump(plain, sort_keys=False, width=100)


def main(arguments: list[str] | None = None) -> int:
    """Write the definition to a file."""
    [target] = sys.argv[1:] if arguments is None else arguments
    Path(target).write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
