"""`make conformance`: the same files on a real Istio. Exit code 1 when something differs.

python -m lab.conformance            # build what is missing, compare, print the verdict
python -m lab.conformance --write    # the same, and keep istiod's facts for `make test`
python -m lab.conformance --no-calls # without the calls through Envoys; half a minute less
"""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.conformance import (
    api,
    builds,
    comparison,
    golden,
    istio,
    ours,
    processes,
    sample,
)
from lab.conformance.calls import both, istios
from lab.conformance.calls.machine import Machine


@dataclass
class Report:
    """What a run found, and what it took."""

    refused: list[api.Refusal] = field(default_factory=list[api.Refusal])
    findings: list[str] = field(default_factory=list[str])
    verdict: comparison.Verdict | None = None
    memory_mib: dict[str, int] = field(default_factory=dict[str, int])
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def holds(self) -> bool:
        """Return whether Istio takes the files and means the same by them."""
        compared = self.verdict is not None and self.verdict.holds
        return compared and not self.refused and not self.findings


async def run(folder: Path, files: istio.Files, *, write: bool, with_calls: bool) -> Report:
    """Start Kubernetes and istiod, and compare."""
    report, begun = Report(), time.monotonic()

    def done(what: str) -> None:
        report.seconds[what] = time.monotonic() - begun

    machine = Machine(folder / "calls")
    istios.authority(machine)
    with processes.kubernetes(folder) as cluster:
        async with api.session(cluster) as session:
            client = api.Api(cluster, session)
            await client.ready()
            done("Kubernetes ready")
            report.refused = await istio.applied(client, files)
            with processes.istiod(folder, cluster, machine.folder / "cacerts") as istiod:
                entries = [e for e in files.of_sres() if e["kind"] == "ServiceEntry"]
                await client.addressed(entries)
                report.findings = istio.findings(files, cluster)
                done("applied and analysed")
                by_ours, by_istio = await _translations(folder, files, client, istiod)
                done("translated")
                if with_calls:
                    answered = await both.through_both(machine, files, client, istiod)
                    by_ours.update(answered.ours)
                    by_istio.update(answered.istio)
                    done("called")
                report.memory_mib["istiod"] = processes.memory_mib(istiod.pid)
            report.memory_mib["kube-apiserver"] = processes.memory_mib(cluster.pid)
    rows = [row for row in comparison.rows() if with_calls or not row.is_about(both.PREFIX)]
    report.verdict = comparison.compare(by_ours, by_istio, rows)
    if write and report.holds:
        golden.write(by_istio)
    return report


async def _translations(
    folder: Path, files: istio.Files, client: api.Api, istiod: processes.Istiod
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the facts of both control planes, for the bank's files and for the sample."""
    bank = ours.stated(files)
    by_istio = ours.facts(await istio.proxies(istiod), bank.asked, files.edge_policy())
    sampled = sample.files(folder / "sample")
    await istio.changed(client, istiod, sampled, sample.FIRST_ROUTE)
    other = ours.stated(sampled, sample.HEADERS)
    theirs = ours.facts(await istio.proxies(istiod), other.asked, files.edge_policy())
    await istio.restored(client, istiod, files, sampled)
    return (
        {**bank.facts, **_prefixed(other.facts)},
        {**by_istio, **_prefixed(theirs)},
    )


def _prefixed(facts: dict[str, Any]) -> dict[str, Any]:
    return {f"{sample.PREFIX}{question}": answer for question, answer in facts.items()}


def say(report: Report) -> None:
    """Print a report."""
    for each in report.refused:
        print(f"refused by kube-apiserver: {each.resource}: {each.reason}")
    for line in report.findings:
        print(f"istioctl: {line}")
    if verdict := report.verdict:
        for reason, found in verdict.explained.items():
            print(f"{len(found):4} differ: {reason}")
        for each in verdict.unexplained:
            print(f"UNEXPLAINED {each}")
        for row in verdict.idle:
            print(f"this row explains nothing, remove it: {row.facts}: {row.reason}")
        differing = sum(map(len, verdict.explained.values()))
        print(
            f"{verdict.equal} facts are equal, {differing} differ for a known reason, "
            f"{len(verdict.unexplained)} differ without one"
        )
    print("memory:", ", ".join(f"{name} {mib} MiB" for name, mib in report.memory_mib.items()))
    print("time:", ", ".join(f"{name} after {s:.0f} s" for name, s in report.seconds.items()))


def main() -> int:
    """Run, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep istiod's facts for make test")
    parser.add_argument("--no-calls", action="store_true", help="compare the translation only")
    parser.add_argument("--config", type=Path, default=istio.CONFIG)
    parser.add_argument("--derived", type=Path, default=istio.DERIVED)
    given = parser.parse_args()
    builds.build(lambda text: print(f"· {text}", file=sys.stderr, flush=True))
    files = istio.Files(given.config, given.derived)
    with tempfile.TemporaryDirectory(prefix="bp-conformance-") as name:
        report = asyncio.run(
            run(Path(name), files, write=given.write, with_calls=not given.no_calls)
        )
    say(report)
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
