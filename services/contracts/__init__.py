"""The contract of each method as proto/ has it, and the names of the bank's workloads.

The gateway, the mesh, the boundary of each server and the OpenAPI document read contracts only
from here, so no rule is written twice. Gateway and mesh may import nothing else of services.

| module | content |
|---|---|
| `methods` | `MethodContract` and its parts, plain values; `ContractError` |
| `reader` | `load`: every method of a descriptor set; `deployables` |
| `policy` | reads `bp.policy.v1` and refuses an invalid policy |
| `rule_texts` | the rules of fields in words, for callers |
| `http_routes` | reads `google.api.http` |
| `topics` | Kafka topics: name, partitions, dead letters; the topic of an envelope |
| `descriptor_set` | the committed descriptor set, and ways to open one |

The names of workloads come from `services.kernel.identities`.
"""

from services.contracts.descriptor_set import default_descriptor_set, file_names, pool_of
from services.contracts.methods import (
    Audience,
    ContractError,
    HttpRoute,
    MethodContract,
    StepUpRule,
)
from services.contracts.policy import BODY_BYTES_MAX
from services.contracts.reader import deployables, load
from services.kernel.identities import GATEWAY, NAMESPACE, SPIFFE_PREFIX, spiffe_id

__all__ = [
    "BODY_BYTES_MAX",
    "GATEWAY",
    "NAMESPACE",
    "SPIFFE_PREFIX",
    "Audience",
    "ContractError",
    "HttpRoute",
    "MethodContract",
    "StepUpRule",
    "default_descriptor_set",
    "deployables",
    "file_names",
    "load",
    "pool_of",
    "spiffe_id",
]
