"""Renders what the contracts decide as Istio kinds into k8s/base/mesh/, for clusters.

On one machine the control plane derives access, routes and timeouts from the contracts. On a
cluster Istio needs them as resources. `make gen` writes the files; `make check` compares them.

| module | content |
|---|---|
| `files` | the files and their content |
| `kinds` | the form of one resource, and YAML |
| `access` | AuthorizationPolicies: the callers of each service's methods |
| `routes` | VirtualServices of services: the rules of SREs, with each method's timeout |
| `edge` | the gateway: VirtualService and AuthorizationPolicy |
| `edge_filters`, `edge_routes`, `bootstrap` | what Istio has no kind for at the gateway |
| `clusters` | the same for the clusters of each workload: circuit breakers, HTTP version |
| `certificates` | private keys as mounted files |
| `patches` | the form of an EnvoyFilter |
| `matches` | conditions on the path of a known method |
| `places` | invented addresses, because only translation reads them |
| `settings` | MeshConfig |
"""
