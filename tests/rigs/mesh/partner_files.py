"""A copy of mesh/config with variants of partners: further hosts at the same address.

The policy of a variant is that of the partner's own file but for one change. So a test needs no
minute of waiting, and an experiment does not open the breaker of another one.
"""

import copy
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mesh import ctl

Change = Callable[[dict[str, Any], dict[str, Any]], None]
"""Changes the route of a VirtualService and the traffic policy of a DestinationRule."""
MANY = 1_000_000
"""A number of failures that no test reaches."""


def seconds(text: str) -> float:
    """Return a duration of the files, such as "30s" or "250ms", in seconds."""
    if text.endswith("ms"):
        return float(text[:-2]) / 1000
    return float(text.removesuffix("s"))


def duration(value_s: float) -> str:
    """Return seconds as the files have them."""
    return f"{max(1, round(1000 * value_s))}ms"


def breaker_never_opens(_route: dict[str, Any], policy: dict[str, Any]) -> None:
    """Raise the number of failures, so that a failing partner is called again and again."""
    policy["outlierDetection"]["consecutive5xxErrors"] = MANY


def longer_backoff(factor: float) -> Change:
    """Return a change that multiplies the back-off; the breaker never opens."""

    def change(route: dict[str, Any], policy: dict[str, Any]) -> None:
        breaker_never_opens(route, policy)
        retries = route["retries"]
        if "backoff" in retries:
            retries["backoff"] = duration(factor * seconds(retries["backoff"]))

    return change


def shorter_timeouts(factor: float, *, of_tries: bool = True) -> Change:
    """Return a change that multiplies the timeouts and the back-off of a route.

    Without `of_tries` a try may take the whole timeout.
    """

    def change(route: dict[str, Any], policy: dict[str, Any]) -> None:
        breaker_never_opens(route, policy)
        route["timeout"] = duration(factor * seconds(route["timeout"]))
        retries, tcp = route["retries"], policy["connectionPool"]["tcp"]
        if not of_tries:
            retries.pop("perTryTimeout", None)
        for name in ("perTryTimeout", "backoff"):
            if name in retries:
                retries[name] = duration(factor * seconds(retries[name]))
        # Not in the table, and the check of the configuration requires less than the timeout.
        connect_s = min(seconds(tcp["connectTimeout"]), 0.8 * seconds(route["timeout"]))
        tcp["connectTimeout"] = duration(connect_s)

    return change


def shorter_ejection(factor: float, interval_of_ejection: float) -> Change:
    """Return a change that multiplies the ejection time; the interval becomes a part of it.

    The back-off is a millisecond, so that failures in a row come quickly.
    """

    def change(route: dict[str, Any], policy: dict[str, Any]) -> None:
        outliers = policy["outlierDetection"]
        ejected_s = factor * seconds(outliers["baseEjectionTime"])
        outliers["baseEjectionTime"] = duration(ejected_s)
        outliers["interval"] = duration(interval_of_ejection * ejected_s)
        if "backoff" in route["retries"]:
            route["retries"]["backoff"] = "1ms"

    return change


def reference(timeout_s: float, ejected_s: float, interval_s: float) -> Change:
    """Return a change to times that a test sets; one failure opens the breaker."""

    def change(route: dict[str, Any], policy: dict[str, Any]) -> None:
        route["timeout"] = duration(timeout_s)
        route["retries"] = {"attempts": 0}
        policy["connectionPool"]["http"].pop("maxRetries", None)
        policy["outlierDetection"] |= {
            "consecutive5xxErrors": 1,
            "baseEjectionTime": duration(ejected_s),
            "interval": duration(interval_s),
        }

    return change


def flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings by their dotted names."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves |= (
            flat(value, f"{above}{name}.") if isinstance(value, dict) else {above + name: value}
        )
    return leaves


class PartnerFiles:
    """A copy of mesh/config, to which variants of partners are added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ctl.CONFIG, folder)
        self._documents = [
            document
            for path in sorted((folder / "partners").glob("*.yaml"))
            for document in yaml.safe_load_all(path.read_text())
        ]
        self.own_hosts = {
            (each["spec"]["host"], each["spec"]["workloadSelector"]["matchLabels"]["app"])
            for each in self._documents
            if each["kind"] == "DestinationRule"
        }
        """Each partner's host in mesh/config with each service that has a policy for it."""
        self._sidecars = folder / "sidecars.yaml"

    def policies(self, host: str, service: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the route of a partner and the traffic policy of one service for it."""
        route = self._one("VirtualService", lambda spec: spec["hosts"] == [host])
        rule = self._one(
            "DestinationRule",
            lambda spec: (
                spec["host"] == host and spec["workloadSelector"]["matchLabels"]["app"] == service
            ),
        )
        return route["spec"]["http"][0], rule["spec"]["trafficPolicy"]

    def add(self, name: str, host: str, service: str, change: Change) -> str:
        """Add a variant of a partner for one service; return its host."""
        variant = f"{name}.{service}.{host}"
        entry = copy.deepcopy(self._one("ServiceEntry", lambda spec: host in spec["hosts"]))
        entry["spec"] = {"endpoints": [{"address": host}]} | entry["spec"] | {"hosts": [variant]}
        route, policy = copy.deepcopy(self.policies(host, service))
        change(route, policy)
        # The partner knows only its own name.
        route = {"rewrite": {"authority": host}} | route
        route["route"] = [{"destination": {"host": variant}}]
        made = [
            entry,
            _resource("VirtualService", {"hosts": [variant], "http": [route]}),
            _resource(
                "DestinationRule",
                {
                    "host": variant,
                    "workloadSelector": {"matchLabels": {"app": service}},
                    "trafficPolicy": policy,
                },
            ),
        ]
        for each in made:
            each["metadata"] = {"name": variant.replace(".", "-"), "namespace": "bp"}
        (self.folder / "partners" / f"{variant}.yaml").write_text(yaml.safe_dump_all(made))
        self._documents += made
        self._let_call(service, variant)
        return variant

    def _let_call(self, service: str, host: str) -> None:
        documents = list(yaml.safe_load_all(self._sidecars.read_text()))
        for each in documents:
            if each["metadata"]["name"] == service:
                each["spec"]["egress"][0]["hosts"].append(f"./{host}")
        self._sidecars.write_text(yaml.safe_dump_all(documents))

    def _one(self, kind: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        (found,) = [each for each in self._documents if each["kind"] == kind and fits(each["spec"])]
        return found


def _resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "spec": spec}
