"""Configurations that cannot come into force, as files that replace or join the bank's own."""

from tests.rigs.mesh.pilot import replaced

Files = dict[str, bytes]
BAD = "services/bad.yaml"

SERVICE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: bp}}
spec:
  hosts: [{host}]
  http:
    - route: [{{destination: {{host: {host}}}}}]
      timeout: 6s
      retries: {{attempts: 0}}
"""
CUSTOMERS = "customers.bp.svc.cluster.local"
NOBODY = "nobody.bp.svc.cluster.local"
DELEGATES = "".join(
    f"""\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: bp}}
spec:
  http:
    - delegate: {{name: {other}, namespace: bp}}
---
"""
    for name, other in (("one", "two"), ("two", "one"))
)
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
ITSELF = "kind: &a\n  again: *a\n"
DEEP = "[" * 20_000


def _joined(text: str) -> Files:
    return {BAD: text.encode()}


def refused(own: Files) -> dict[str, tuple[Files, str]]:
    """Return the files of each configuration, and the file that its first error names."""
    many = {
        f"many/{number:03}.yaml": SERVICE.format(name=f"n{number}", host=NOBODY).encode()
        for number in range(200)
    }
    lines = "---\n".join(SERVICE.format(name=f"n{number}", host=NOBODY) for number in range(1_200))
    name = "services/customers.yaml"
    subset = f"destination: {{host: {CUSTOMERS}, subset: no-such}}"
    plain = f"destination: {{host: {CUSTOMERS}}}"
    assert lines.count("\n") > 10_000
    return {
        "two rules for one host": (_joined(SERVICE.format(name="again", host=CUSTOMERS)), name),
        "two rules of one name": (_joined(SERVICE.format(name="customers", host=CUSTOMERS)), name),
        "a host that does not exist": (_joined(SERVICE.format(name="n", host=NOBODY)), BAD),
        "a subset that does not exist": (
            {name: replaced(own, name, plain, subset)[name]},
            name,
        ),
        "delegates in a circle": (_joined(DELEGATES), BAD),
        "an alias bomb": (_joined(BOMB), BAD),
        "a value that contains itself": (_joined(ITSELF), BAD),
        "a value in 20,000 lists": (_joined(DEEP), BAD),
        "10,000 lines": (_joined(lines), BAD),
        "200 files": (many, "many/000.yaml"),
        "a file of 3 MB": (_joined("# comment\n" * 300_000), ""),
        "control characters": (_joined("kind: \0\1\2\n"), BAD),
        "a name that ends in .yml": ({"services/bad.yml": b"kind: x\n"}, "services/bad.yml"),
    }
