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
| `breakers` | an EnvoyFilter: circuit breakers stay open for a fixed time |
| `credentials` | the permission to read client certificates for partners |
| `settings` | MeshConfig |
"""
