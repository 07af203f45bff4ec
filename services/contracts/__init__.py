"""What proto/ says of each method, and what the bank's workloads are called: the public face.

Gateway, mesh, the servers' interceptors, log redaction and the OpenAPI document all start here, so
that no rule of a contract is written twice. Gateway and mesh may import nothing else of services.

| module | holds |
|---|---|
| `methods` | `MethodContract` and its parts, plain values; `ContractError` |
| `reader` | `load`: every method of a descriptor set; `deployables` |
| `policy` | the reading of `bp.policy.v1`, and the refusal of an invalid policy |
| `http_routes` | the reading of `google.api.http` |
| `personal_data` | which fields must not be logged |
| `topics` | Kafka topics: name, partitions, dead letters; the topic of an envelope |
| `descriptor_set` | the committed descriptor set, and ways to open one |

The names of workloads come from `services.kernel.identities`.
"""

from services.contracts.descriptor_set import default_descriptor_set, file_names, pool_of
from services.contracts.methods import Audience, ContractError, HttpRoute, MethodContract
from services.contracts.personal_data import is_personal
from services.contracts.reader import deployables, load
from services.kernel.identities import GATEWAY, NAMESPACE, SPIFFE_PREFIX, spiffe_id

__all__ = [
    "GATEWAY",
    "NAMESPACE",
    "SPIFFE_PREFIX",
    "Audience",
    "ContractError",
    "HttpRoute",
    "MethodContract",
    "default_descriptor_set",
    "deployables",
    "file_names",
    "is_personal",
    "load",
    "pool_of",
    "spiffe_id",
]
