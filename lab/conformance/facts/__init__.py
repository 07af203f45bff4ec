"""The meaning of an Envoy configuration, as plain values that can be compared.

Pure. A fact is the answer to a question about a call, such as which cluster gets it and when it
times out. So two configurations with other names and another structure can have the same facts.

| module | content |
|---|---|
| `proxy` | the configuration of one proxy, and its parts |
| `names` | one name for one thing, which the two control planes name differently |
| `calls` | a call that is asked about: authority, verb, path, caller |
| `matching` | Envoy's matchers of strings and headers |
| `routing` | the route that a call takes, and what it does with the call |
| `headers` | the headers that a route sets and removes, and its CORS policy |
| `access` | whether the RBAC filters let a call pass |
| `destinations` | pools, circuit breaker and TLS of a cluster |
| `entrance` | the filters, limits and error replies of the gateway |
| `listing` | all facts of one proxy |
"""
