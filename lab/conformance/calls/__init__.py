"""The same calls through stock Envoys, driven once by the control plane and once by istiod.

| module | content |
|---|---|
| `machine` | the addresses, folders and certificates of the proxies |
| `secret_service` | what istio-agent does for a proxy: hands it its own certificate by SDS |
| `outside` | the service and the partner that are called; they count calls |
| `ours` | proxies as the control plane starts them |
| `istios` | proxies that istiod drives |
| `cases` | the calls, and what was answered |
| `both` | both control planes, one after the other |
"""
