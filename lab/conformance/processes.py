"""etcd, kube-apiserver and istiod on free loopback ports, with all state in one folder.

Each process is stopped by its own id, in the reverse order of the start. Nothing here knows what
the servers are asked.
"""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from lab.conformance import builds
from lab.conformance.certificates import write_private
from ops.waiting import scaled_s, until_true

_START_S = 120
_STOP_S = 20
_PLAIN_ENVOY = {
    # A stock Envoy lacks the filters of Istio's own build.
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "PILOT_ENABLE_ALPN_FILTER": "false",
    "PILOT_DISABLE_MX_ALPN": "true",
    "PILOT_ENABLE_ANALYSIS": "false",
    "ENABLE_DEBUG_ENDPOINT_AUTH": "false",
}

_POD = {"POD_NAMESPACE": "istio-system", "POD_NAME": "istiod"}


@dataclass(frozen=True)
class Cluster:
    """The address of a running kube-apiserver, and how to talk to it."""

    url: str
    token: str
    kubeconfig: Path
    pid: int


@dataclass(frozen=True)
class Istiod:
    """The addresses of a running istiod."""

    plain: str
    """host:port of ADS without TLS."""
    secure: str
    """host:port of ADS with mutual TLS."""
    pid: int


@contextmanager
def kubernetes(folder: Path) -> Generator[Cluster]:
    """Run etcd and kube-apiserver until the block ends."""
    with ExitStack() as stack:
        client, peer, api = free_port(), free_port(), free_port()
        etcd = f"http://127.0.0.1:{client}"
        options = _etcd_options(folder / "etcd", etcd, f"http://127.0.0.1:{peer}")
        stack.enter_context(running(builds.cache() / "etcd", options, folder / "etcd.log"))
        until_true(lambda: _open(client), _START_S, "etcd's port")
        token = secrets.token_urlsafe(24)
        api_options = _api_options(folder, etcd, api, token)
        log = folder / "kube-apiserver.log"
        program = builds.cache() / "kube-apiserver"
        server = stack.enter_context(running(program, api_options, log))
        until_true(lambda: _open(api) or _ended(server, log), _START_S, "kube-apiserver's port")
        url = f"https://127.0.0.1:{api}"
        yield Cluster(url, token, _kubeconfig(folder, url, token), server.pid)


@contextmanager
def istiod(folder: Path, cluster: Cluster, authority: Path | None = None) -> Generator[Istiod]:
    """Run istiod until the block ends; it reads MeshConfig from the cluster.

    `authority` is a folder with the authority that signs istiod's own certificate.
    """
    environment = {"ROOT_CA_DIR": str(authority)} if authority else {}
    ports = {name: free_port() for name in ("http", "https", "grpc", "secureGRPC", "monitoring")}
    options = [
        *("discovery", f"--kubeconfig={cluster.kubeconfig}", "--namespace=istio-system"),
        *(
            "--domain=cluster.local",
            "--clusterID=Kubernetes",
            "--keepaliveMaxServerConnectionAge=30m",
        ),
        *(f"--{name}Addr=127.0.0.1:{port}" for name, port in ports.items()),
    ]
    chosen = {
        **_PLAIN_ENVOY,
        "POD_NAMESPACE": "istio-system",
        "POD_NAME": "istiod",
        **environment,
    }
    program = builds.cache() / "pilot-discovery"
    log = folder / "istiod.log"
    with running(program, options, log, chosen) as process:
        until_true(lambda: _open(ports["grpc"]) or _ended(process, log), _START_S, "istiod's port")
        yield Istiod(f"127.0.0.1:{ports['grpc']}", f"127.0.0.1:{ports['secureGRPC']}", process.pid)


@contextmanager
def running(
    program: Path | str,
    options: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Generator[subprocess.Popen[bytes]]:
    """Run a program until the block ends, with its output in a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(program), *options],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=log.parent,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(scaled_s(_STOP_S))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def envoy(bootstrap: Path, log: Path) -> Generator[subprocess.Popen[bytes]]:
    """Run a stock Envoy until the block ends."""
    options = ("-c", str(bootstrap), "--concurrency", "1", "--disable-hot-restart")
    quiet = ("--log-level", "warning")
    program = Path(sys.executable).with_name("envoy")
    with running(program, (*options, *quiet), log) as process:
        yield process


def free_port() -> int:
    """Return a TCP port of the loopback that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def memory_mib(pid: int) -> int:
    """Return the highest resident memory that a process has had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return 0


def _etcd_options(data: Path, client: str, peer: str) -> list[str]:
    return [
        *(f"--data-dir={data}", "--name=one", "--unsafe-no-fsync"),
        *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
        *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
        f"--initial-cluster=one={peer}",
    ]


def _api_options(folder: Path, etcd: str, port: int, token: str) -> list[str]:
    key = _service_account_key(folder)
    tokens = folder / "tokens.csv"
    write_private(tokens, f'{token},conformance,conformance,"system:masters"\n'.encode())
    return [
        *(f"--etcd-servers={etcd}", f"--secure-port={port}", "--bind-address=127.0.0.1"),
        *(f"--cert-dir={folder / 'api'}", f"--token-auth-file={tokens}"),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
        *("--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16"),
        # The kubelet's answers, controllers and webhooks are not part of the comparison.
        *("--endpoint-reconciler-type=none", "--enable-priority-and-fairness=false"),
    ]


def _service_account_key(folder: Path) -> Path:
    path = folder / "service-accounts.key"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    write_private(
        path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    )
    return path


def _kubeconfig(folder: Path, url: str, token: str) -> Path:
    path = folder / "kubeconfig"
    server = {"server": url, "certificate-authority": str(folder / "api" / "apiserver.crt")}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": "one", "cluster": server}],
        "users": [{"name": "one", "user": {"token": token}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
    }
    write_private(path, yaml.safe_dump(content).encode())
    return path


def _open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _ended(process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is None:
        return False
    raise RuntimeError(f"{process.args} ended:\n{log.read_text()[-3000:]}")
