"""Compares what Istio makes of mesh/config and k8s/base/mesh with what the control plane makes.

`make conformance` runs a real kube-apiserver with etcd and a real istiod; docs/conformance.md has
the results. The programs are built from source once and cached.

| module | content |
|---|---|
| `builds` | builds the programs from their Go modules |
| `processes` | etcd, kube-apiserver and istiod on loopback ports |
| `api` | a client of the Kubernetes API: apply with strict field validation |
| `objects` | the namespaces, services and pods that Istio needs in addition to the mesh's files |
| `discovery` | fetches the configuration of a proxy from istiod by ADS |
| `certificates` | authorities and certificates that exist for one run |
| `facts/` | the meaning of an Envoy configuration, as plain values |
| `comparison` | compares two sets of facts; `differences.toml` has the accepted differences |
| `sample/` | rules that the bank does not use now, compared too |
| `calls/` | the same calls through an Envoy of each control plane |
"""
