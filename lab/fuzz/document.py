"""Runs schemathesis with docs/openapi.json against the gateway of a running stack.

It calls every operation with its examples, with the boundary values of its schema, with generated
valid and invalid data, and along the document's links. All checks run on each answer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from lab.fuzz.accepted_failures import VERBS, is_accepted
from lab.fuzz.log_leaks import PAYEE_ACCOUNT, PAYEE_NAME
from ops.waiting import scaled_s
from sandbox.client import Customer
from sandbox.seed.people import Person, password
from sandbox.stack.home import REPO
from sandbox.stack.testing import RunningStack

OPENAPI = REPO / "docs" / "openapi.json"
ANSWER_WITHIN_S = 5
ENDS = "Logout"
"""The operation that ends the session of its token."""
LOGINS = "^/v1/auth/"
LINKS = "stateful"
"""The phase that follows links."""
PHASES = ("examples", "coverage", "fuzzing", "stateful")
CHAINS = 4
"""Chains of links for each example. A chain is a few calls; most end at the first refusal."""


@dataclass(frozen=True)
class Finding:
    """One failed check, with a request that reproduces it."""

    check: str
    operation: str
    said: str
    request: str
    answer: str

    def __str__(self) -> str:
        return f"{self.check} at {self.operation}: {self.said}\n  {self.request}\n  {self.answer}"


@dataclass
class Tally:
    """Counts of requests, answers and checks, and the findings."""

    requests: int = 0
    followed_links: int = 0
    answers: Counter[str] = field(default_factory=Counter[str])
    checks: Counter[str] = field(default_factory=Counter[str])
    findings: list[Finding] = field(default_factory=list[Finding])
    errors: list[str] = field(default_factory=list[str])

    @property
    def sound(self) -> bool:
        """Return whether no check failed and the run had no error."""
        return not self.findings and not self.errors


def run(
    stack: RunningStack,
    people: Sequence[Customer],
    *,
    seed: int,
    examples: int,
    folder: Path,
    phases: tuple[str, ...] = PHASES,
    into: Tally | None = None,
) -> Tally:
    """Call every operation `examples` times in each phase, and follow `CHAINS` times as many links.

    The first customer sends the requests and has a login. The second customer must not see any data
    of the first. The third receives the payments.
    """
    tally = Tally() if into is None else into
    alone = tuple(phase for phase in phases if phase != LINKS)
    links = tuple(phase for phase in phases if phase == LINKS)
    # Links lead through payments and accounts. The logout is last, because the other operations
    # need a session that has not ended.
    passes: tuple[tuple[tuple[str, ...], int, Callable[[Any], Any]], ...] = (
        (alone, examples, lambda schema: schema.exclude(operation_id=ENDS)),
        (links, examples * CHAINS, lambda schema: schema.exclude(path_regex=LOGINS)),
        (alone, examples, lambda schema: schema.include(operation_id=ENDS)),
    )
    for chosen, cases, part in passes:
        if chosen:
            config = _config(stack, people, seed, cases, folder, chosen)
            schema = part(
                schemathesis.openapi.from_path(
                    str(OPENAPI), config=SchemathesisConfig.from_dict(config)
                )
            )
            schema.hook("filter_failure")(_counts)
            _execute(schema, tally)
    return tally


def _execute(schema: Any, tally: Tally) -> None:
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _record(tally, event.recorder)
        elif isinstance(event, events.NonFatalError):
            tally.errors.append(f"{event.label}: {event.value}")
        elif isinstance(event, events.FatalError):
            raise event.exception


def _counts(context: Any, failure: Any, case: Any, response: Any) -> bool:
    try:
        return not is_accepted(failure, case.body, response.json())
    except ValueError:
        return True


def _config(
    stack: RunningStack,
    people: Sequence[Customer],
    seed: int,
    examples: int,
    folder: Path,
    phases: tuple[str, ...],
) -> dict[str, Any]:
    where = stack.addresses
    return {
        "seed": seed,
        "cache": {"enabled": False},
        "continue-on-failure": True,
        "base-url": where["BP_GATEWAY_URL"],
        "tls-verify": where["BP_CA_FILE"],
        "request-timeout": scaled_s(ANSWER_WITHIN_S),
        # One check reads another customer's objects, so there are two identities.
        "auth": {"wfc": {"path": _logins(people, folder), "peers": ["ana", "luz"], "user": "ana"}},
        "generation": {"max-examples": examples, "no-shrink": True, "database": "none"},
        "phases": {
            **{name: {"enabled": name in phases} for name in PHASES},
            "coverage": {
                "enabled": "coverage" in phases,
                "generate-duplicate-query-parameters": True,
                "unexpected-methods": sorted(VERBS),
            },
        },
        **_sensible_values(people),
    }


def _logins(people: Sequence[Customer], folder: Path) -> str:
    logins = [
        {
            "name": name,
            "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {person.token}"}],
        }
        for name, person in zip(("ana", "luz"), people, strict=False)
    ]
    path = folder / "logins.json"
    path.write_text(json.dumps({"auth": logins}))
    return str(path)


def _sensible_values(people: Sequence[Customer]) -> dict[str, Any]:
    """Return values that make generated orders valid often enough to get past the first checks."""
    ana, _, paid = (str(person.account_id) for person in people)
    values = {
        "own": [ana],
        "others": [paid],
        "currency": ["USD"],
        "routing": ["021000021"],
        "amount": ["1", "100", "2500"],
        "payee": [PAYEE_NAME],
        "number": [PAYEE_ACCOUNT],
        "email": [Person(people[0].user_name, "", ()).email],
        "password": [password(people[0].user_name)],
    }
    bound = {
        "path.accountId": ("own", 0.8),
        "query.accountId": ("own", 0.8),
        "body.accountId": ("own", 0.9),
        "body.destinationAccountId": ("others", 0.8),
        "body.amount.currencyCode": ("currency", 0.9),
        "body.amount.minorUnits": ("amount", 0.8),
        "body.beneficiary.routingNumber": ("routing", 0.9),
        "body.beneficiary.name": ("payee", 0.5),
        "body.beneficiary.accountNumber": ("number", 0.5),
        "body.email": ("email", 0.7),
        "body.password": ("password", 0.7),
    }
    return {
        "dictionaries": {name: {"values": each} for name, each in values.items()},
        "parameters": {
            place: {"dictionary": name, "probability": share}
            for place, (name, share) in bound.items()
        },
    }


def _record(tally: Tally, recorder: Any) -> None:
    tally.requests += len(recorder.interactions)
    for case_id, interaction in recorder.interactions.items():
        status = interaction.response.status_code if interaction.response else "none"
        tally.answers[str(status)] += 1
        node = recorder.cases.get(case_id)
        tally.followed_links += bool(node and node.is_transition_applied)
    for checks in recorder.checks.values():
        for check in checks:
            tally.checks[check.name] += 1
    tally.findings.extend(_findings(recorder))


def _findings(recorder: Any) -> Iterator[Finding]:
    for case_id, checks in recorder.checks.items():
        interaction = recorder.interactions.get(case_id)
        response = interaction.response if interaction else None
        for check in checks:
            if check.failure_info:
                failure = check.failure_info.failure
                yield Finding(
                    check.name,
                    failure.operation,
                    f"{failure.title}: {' '.join(failure.message.split())}",
                    check.failure_info.code_sample,
                    f"{response.status_code} {response.text[:300]}" if response else "no answer",
                )
