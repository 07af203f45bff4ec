"""Every service under services/ has the same files, and each file has the same purpose everywhere.

The rules are those of CONTRIBUTING.md and of this test; a service that needs an additional file
names it in OWN_FILES with a reason.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from services import contracts
from tests.architecture.sources import REPO, Module, modules

FILES = {
    "README.md": "what the service owns, its RPCs, topics, tables and failure modes",
    "__init__.py": "the package, with one sentence about it",
    "__main__.py": "the process entry",
    "bootstrap.py": "the only wiring",
    "settings.py": "the one settings class, and names of topics and consumer groups",
    "state.py": "the aggregate, its states and its transition table; pure",
    "errors.py": "one class per cause; the docstring is the message",
    "handlers.py": "one async function per RPC and command: load, decide, save",
    "grpc_api.py": "each RPC: map in, handle, map out",
    "mapping.py": "the only file that knows both protobuf and the domain, except for events",
    "store.py": "the database, with sql/queries.sql",
    "events_in.py": "consumed events",
    "events_out.py": "published events",
    "partners.py": "clients of outside systems",
}
"""Files that every service may have."""

FOLDERS = frozenset({"sql", "lua", "data", "partners", "handlers"})
"""A file that outgrows its limit becomes a folder of the same name: `partners`, `handlers`."""

OWN_FILES = {
    "audit": {
        "chain.py": "the domain: entries and how they are linked",
        "heads.py": "signed statements about the heads of all chains; pure",
        "verify.py": "pure checks of chains",
        "verify_heads.py": "pure checks of signed statements, and of chains against them",
        "verify_offsets.py": "pure check that the offsets of a chain rise",
        "verify_topic.py": "pure comparison of chains with the topic",
        "notes.py": "notes of repeated events as hash chains, and their check; pure",
        "positions.py": "pure check of the offsets of source topics",
        "ranges.py": "sets of offsets as ranges; pure",
        "reading.py": "reads chains and statements in step",
        "inspection.py": "reads chains, topics and heads for those checks, for bpctl",
        "topic.py": "reads audit-logs and dead letters outside any group, for those checks",
        "notary.py": "signs statements with OpenBao and keeps the mark of the last one",
        "head_files.py": "keeps signed statements outside the database",
        "signing.py": "signs every minute and when asked",
        "retention.py": "deletes recorded and signed events from audit-logs",
    },
    "auth": {
        "dependencies.py": "what the handlers need",
        "answers.py": "the answers of completed logins in Valkey, for apps that lost them",
        "app_sealing.py": "encrypts what Valkey keeps for an app; pure",
        "background.py": "work that an answer does not wait for",
        "breached.py": "the list of passwords that became public",
        "challenges.py": "what device keys sign when they are registered, in Valkey",
        "charges.py": "the limits of messages and face checks; pure",
        "codes.py": "one-time codes in Valkey",
        "counters.py": "wrong tries, sent messages and face checks in Valkey",
        "crowd.py": "when callers that a full queue refused come again; pure",
        "device_keys.py": "WebAuthn registrations and assertions; pure",
        "dummies.py": "the hashes that auth verifies for unknown addresses; pure",
        "emails.py": "the canonical form of e-mail addresses; pure",
        "faces.py": "what a face match decides",
        "factor_store.py": "the statements about factors",
        "hash_process.py": "a process of its own for bcrypt",
        "hashers.py": "starts such processes and asks them",
        "operator_requests.py": "carries out what operators ask for",
        "families.py": "the families of refresh tokens in Valkey",
        "free_cores.py": "how many cores the machine's other work leaves to hashes",
        "grants.py": "the grants of ended sessions, which the provider must end",
        "login_sessions.py": "logins in progress in Valkey",
        "password_pool.py": "bcrypt in a few threads",
        "passwords.py": "the rules of passwords and the form that bcrypt gets; pure",
        "phones.py": "telephone numbers; pure",
        "pictures.py": "what a picture must be; pure",
        "polling.py": "waits for what a parallel call does",
        "publisher.py": "publishes the events of the outbox",
        "refresh.py": "what a presented refresh token leads to; pure",
        "results.py": "what the handlers return; pure",
        "revocations_out.py": "tells the other services which sessions ended",
        "scripts.py": "loads the Lua scripts",
        "sealing.py": "encrypts with OpenBao, and makes blind indexes",
        "text_messages.py": "the texts with a code; pure",
        "throttle.py": "the limits of tries; pure",
        "totp.py": "authenticator apps and recovery codes; pure",
        "turns.py": "a semaphore whose size changes",
        "upkeep.py": "restores what Valkey lost, and deletes old rows",
        "withdrawal.py": "makes the tokens of ended sessions useless, in one order",
    },
    "customers": {"balance_waiters.py": "callers that wait until a balance shows a posting"},
    "notifications": {
        "languages.py": "asks customers for the language of messages",
        "sender.py": "delivers messages with leases, retries and back-off",
        "templates.py": "the texts of messages; pure",
        "words.py": "the words for devices, factors and locks in the texts; pure",
    },
    "payments": {
        "beneficiaries.py": "whether a payment is the first one to its beneficiary",
        "transfer.py": "the values of a transfer and what a fact makes of it; pure",
        "checks.py": "whether an order may be debited; pure",
        "dependencies.py": "what the handlers need",
        "attempt.py": "whether a debit may have been written, and whether somebody waits; pure",
        "rows.py": "the values that statements take and return; pure",
        "declines.py": "the records of declined orders",
        "traces.py": "compares new trace numbers with those of other transfers",
        "saga.py": "which question comes next and what an answer means; pure",
        "driver.py": "carries out the saga: asks and saves",
        "notices.py": "takes in the clearing house's notices and applies them",
        "notice_store.py": "the statements about notices",
        "reconciliation.py": "asks about transfers whose notice may be lost",
        "reviews.py": "cancels the transfers that a reviewer refused",
        "webhook.py": "signature, age and form of a notice; pure",
        "webhook_secrets.py": "the valid keys of signatures, read again during a rotation",
    },
    "relay": {
        "relay.py": "reads the outbox and publishes",
        "metrics.py": "backlog and age of the outbox",
        "upkeep.py": "partitions of the outbox",
    },
    "router": {
        "pipe.py": "routes in Kafka transactions",
        "routes.py": "what each event makes of it; pure",
    },
    "transfers": {
        "beneficiaries.py": "whether a payment is the first one to its beneficiary",
        "holders.py": "asks customers for the names on a statement",
        "statement.py": "the values of an account's statement and how it is paged; pure",
        "statement_store.py": "reads the statement from the books, with sql/statement.sql",
    },
}

STORE = ("store.py", "rows.py")
"""Files that know a service's tables."""

DOMAIN = ("state", "transfer")
"""Files that hold a service's domain values."""

RPC_STATEMENTS_MAX = 3
"""Three statements: map in, handle, map out."""

SERVICES = sorted(path.parent.name for path in (REPO / "services").glob("*/__main__.py"))


def _modules_of(service: str) -> list[Module]:
    folder = Path("services") / service
    return [module for module in modules() if module.path.is_relative_to(folder)]


def _files(service: str, name: str) -> list[Module]:
    """Return the service's file of that name, if it has one."""
    return [module for module in _modules_of(service) if module.path.name == name]


def _in_folder(service: str, name: str) -> list[Module]:
    """Return the modules in a folder of the service."""
    return [module for module in _modules_of(service) if module.path.parent.name == name]


def _imports(module: Module) -> Iterator[str]:
    """Yield the dotted names that a module imports, `from a import b` as a.b."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _rpcs(service: str) -> list[str]:
    """Return the names of a service's RPCs in snake_case."""
    methods = contracts.load().values()
    return [_snake(method.name) for method in methods if method.deployable == service]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _classes(module: Module) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in module.tree.body if isinstance(node, ast.ClassDef)}


def _coroutines(body: list[ast.stmt]) -> dict[str, ast.AsyncFunctionDef]:
    return {node.name: node for node in body if isinstance(node, ast.AsyncFunctionDef)}


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return the positional parameters as "name: type"."""
    return [
        f"{each.arg}: {ast.unparse(each.annotation)}"
        for each in function.args.args
        if each.annotation is not None
    ]


WITH_RPCS = [name for name in SERVICES if _rpcs(name)]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_files_of_every_service_and_those_it_names_with_a_reason(
    service: str,
) -> None:
    allowed = FILES.keys() | OWN_FILES.get(service, {}).keys()
    folder = REPO / "services" / service
    present = {path.name for path in folder.iterdir() if path.name != "__pycache__"}
    assert present - allowed - FOLDERS == set()


@pytest.mark.parametrize("service", SERVICES)
def test_no_file_is_named_that_a_service_does_not_have(service: str) -> None:
    present = {module.path.name for module in _modules_of(service)}
    assert OWN_FILES.get(service, {}).keys() - present == set()


@pytest.mark.parametrize("service", SERVICES)
def test_settings_are_one_class_named_after_the_service(service: str) -> None:
    (settings,) = _files(service, "settings.py")
    assert list(_classes(settings)) == [f"{service.capitalize()}Settings"]


@pytest.mark.parametrize("service", WITH_RPCS)
def test_each_rpc_is_a_handler_of_its_name_that_takes_the_dependencies_first(
    service: str,
) -> None:
    files = [*_files(service, "handlers.py"), *_in_folder(service, "handlers")]
    dependencies = {
        name: one
        for file in (*files, *_files(service, "dependencies.py"))
        for name, one in _classes(file).items()
    }["Dependencies"]
    assert any("dataclass" in ast.unparse(each) for each in dependencies.decorator_list)
    functions = {n: one for file in files for n, one in _coroutines(file.tree.body).items()}
    first = {name: _parameters(functions[name])[:1] for name in _rpcs(service) if name in functions}
    assert first == {name: ["deps: Dependencies"] for name in _rpcs(service)}


@pytest.mark.parametrize("service", WITH_RPCS)
def test_the_grpc_api_takes_the_dependencies_and_each_rpc_maps_handles_and_maps(
    service: str,
) -> None:
    (module,) = _files(service, "grpc_api.py")
    api = _classes(module)[f"{service.capitalize()}Api"]
    (init,) = [each for each in api.body if isinstance(each, ast.FunctionDef)]
    assert _parameters(init) == ["deps: Dependencies"]
    rpcs = _coroutines(api.body)
    assert sorted(rpcs) == sorted(_rpcs(service))
    statements = {name: len(rpc.body) - 1 for name, rpc in rpcs.items()}
    assert {name: n for name, n in statements.items() if n > RPC_STATEMENTS_MAX} == {}


@pytest.mark.parametrize("service", SERVICES)
def test_only_the_mapping_knows_both_protobuf_and_the_domain(service: str) -> None:
    domain = tuple(f"services.{service}.{name}." for name in DOMAIN)
    both = [
        str(module.path)
        for module in _modules_of(service)
        if any(name.startswith(("bp.", "google.protobuf.")) for name in _imports(module))
        and any(name.startswith(domain) for name in _imports(module))
    ]
    assert set(both) <= {f"services/{service}/{name}.py" for name in ("mapping", "events_out")}


@pytest.mark.parametrize("service", SERVICES)
def test_the_grpc_api_knows_the_messages_of_its_own_service_alone(service: str) -> None:
    files = _files(service, "grpc_api.py")
    names = {name for module in files for name in _imports(module)}
    messages = {name for name in names if name.startswith("bp.")}
    assert messages <= {f"bp.{service}.v1.{service}_service_pb2"}


@pytest.mark.parametrize("service", SERVICES)
def test_the_store_knows_neither_protobuf_nor_the_mapping(service: str) -> None:
    banned = ("bp.", f"services.{service}.mapping")
    names = [name for module in _files(service, "store.py") for name in _imports(module)]
    assert [name for name in names if name.startswith(banned)] == []


def _number_subscripts(module: Module) -> Iterator[ast.Subscript]:
    """Yield `x[3]`, and `x[NAME]` where NAME is a number of the module."""
    numbers = {
        target.id
        for node in module.tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, int)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Subscript):
            index = node.slice
            if (isinstance(index, ast.Constant) and isinstance(index.value, int)) or (
                isinstance(index, ast.Name) and index.id in numbers
            ):
                yield node


@pytest.mark.parametrize("service", SERVICES)
def test_stores_read_rows_by_the_names_of_their_columns(service: str) -> None:
    found = [
        f"{module.path}:{each.lineno} {ast.unparse(each)}"
        for file in STORE
        for module in _files(service, file)
        for each in (*_number_subscripts(module), *_unpacked_rows(module))
    ]
    assert found == []


def _unpacked_rows(module: Module) -> Iterator[ast.Call]:
    """Yield `Value(*row)`, which relies on the order of the row's columns."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and any(ast.unparse(each) == "*row" for each in node.args):
            yield node


@pytest.mark.parametrize("service", SERVICES)
def test_no_named_number_is_an_index(service: str) -> None:
    found = [
        f"{module.path}:{each.lineno} {ast.unparse(each)}"
        for module in _modules_of(service)
        for each in _number_subscripts(module)
        if isinstance(each.slice, ast.Name)
    ]
    assert found == []


def _composites(service: str) -> dict[str, list[str]]:
    """Return the composite types that a service's statements take, with their attributes."""
    folder = REPO / "services" / service / "sql"
    queries, schema = folder / "queries.sql", folder / "schema.sql"
    if not queries.exists() or not schema.exists():
        return {}
    taken = set(re.findall(rf"::{service}\.(\w+)\[\]", queries.read_text()))
    types = re.findall(rf"CREATE TYPE {service}\.(\w+) AS \((.*?)\n\);", schema.read_text(), re.S)
    return {
        name: re.findall(r"^    (\w+) ", body, re.MULTILINE)
        for name, body in types
        if name in taken
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_value_of_a_composite_type_has_the_attributes_of_the_type_in_their_order(
    service: str,
) -> None:
    fields = {
        name: [
            each.target.id
            for each in node.body
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
        ]
        for file in STORE
        for module in _files(service, file)
        for name, node in _classes(module).items()
        if [ast.unparse(base) for base in node.bases] == ["NamedTuple"]
    }
    expected = {_camel(name): attributes for name, attributes in _composites(service).items()}
    assert {name: fields.get(name) for name in expected} == expected


def test_the_composite_types_are_found() -> None:
    assert set(_composites("payments")) == {"debit_order", "decline_row", "plain_step"}
    assert set(_composites("transfers")) == {"decline_row", "request"}
