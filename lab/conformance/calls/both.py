"""Makes the same calls through the proxies of both control planes, one after the other."""

from dataclasses import dataclass

from lab.conformance.api import Api
from lab.conformance.calls import cases, edge_cases, istios, ours
from lab.conformance.calls.machine import Machine
from lab.conformance.calls.outside import Outside
from lab.conformance.istio import Files
from lab.conformance.processes import Istiod

PREFIX = "answer to "


@dataclass(frozen=True)
class Answered:
    """The answers by what was called."""

    ours: dict[str, str]
    istio: dict[str, str]


async def through_both(machine: Machine, files: Files, api: Api, istiod: Istiod) -> Answered:
    """Return what both answer."""
    outside = Outside(machine)
    await outside.start()
    try:
        with ours.proxies(machine, files):
            by_ours = await _answers(machine, outside)
        await istios.move(api, files.resources(), machine)
        async with istios.proxies(machine, files, istiod):
            by_istio = await _answers(machine, outside)
    finally:
        await outside.stop()
    return Answered(_named(by_ours), _named(by_istio))


async def _answers(machine: Machine, outside: Outside) -> cases.Answers:
    # First the gateway's calls, because a breaker that the others open may be one of a service.
    at_edge = await edge_cases.answers(machine, outside)
    return {**at_edge, **await cases.answers(machine, outside)}


def _named(answers: cases.Answers) -> dict[str, str]:
    return {f"{PREFIX}{call}": answer for call, answer in answers.items()}
