"""The same calls through stock Envoys, driven once by the control plane and once by istiod.

| module | content |
|---|---|
| `machine` | the addresses, folders and certificates of the proxies |
| `secret_service` | what istio-agent does for a proxy: hands it its own certificate by SDS |
| `outside` | the service and the partner that are called; they count calls |
| `ours` | proxies as the control plane starts them |
| `istios` | proxies that istiod drives |
| `tokens` | the issuer of customers' tokens |
| `cases` | the calls of services, and what was answered |
| `edge_cases` | the calls of the REST API through the gateway |
| `both` | both control planes, one after the other |
"""
