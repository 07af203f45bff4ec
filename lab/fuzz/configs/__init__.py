"""Random configurations of the mesh: each is refused at a line, or a real Envoy accepts it.

| module | content |
|---|---|
| `repository` | the repository's own configuration, and how a changed one is written |
| `fields` | which honoured fields a configuration has, and which of them were changed |
| `values` | good values for a field, and hostile ones |
| `objects` | whole routes, traffic policies and access policies |
| `structure` | changes of whole resources and of the text |
| `drawn` | the generator: one random configuration |
| `judged` | the judgement of one configuration |
| `runs` | many configurations, and the smallest one with a problem |
| `command` | arguments and output |
"""
