"""The contracts in proto/: every method has a policy, personal data is redacted, and every
element has a comment.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bp.policy.v1 import policy_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from services import contracts
from tests.architecture.sources import REPO
from tools.check import generated
from tools.check.tools import BIN, environment

WHOLE = """audience: CUSTOMER scopes: "toys.read" deadline: {seconds: 1} rate_limit_class: READ"""
CUSTOMER = 'audience: CUSTOMER scopes: "toys.read" deadline: {seconds: 1}'
PUBLIC = "audience: PUBLIC deadline: {seconds: 1}"
AGE = "max_age: {seconds: 300}"
ROUTE = """option (google.api.http) = {get: "/v1/toys"};"""
WITH_BODY = """option (google.api.http) = {post: "/v1/toys" body: "*"};"""
TOY = """
syntax = "proto3";
package bp.toys.v1;
import "bp/policy/v1/policy.proto";
import "google/api/annotations.proto";
message ListToysRequest {{}}
message ListToysResponse {{}}
service ToysService {{
  rpc ListToys(ListToysRequest) returns (ListToysResponse) {{
    {policy}
    {route}
  }}
}}
"""
REFUSED = {
    "no policy at all": ("", ROUTE),
    "no audience": ("deadline: {seconds: 1} rate_limit_class: READ", ROUTE),
    "no deadline": ('audience: CUSTOMER scopes: "a" rate_limit_class: READ', ROUTE),
    "no rate-limit class": ('audience: CUSTOMER scopes: "a" deadline: {seconds: 1}', ROUTE),
    "scopes without a customer": (
        'audience: PUBLIC scopes: "a" deadline: {seconds: 1} rate_limit_class: READ',
        ROUTE,
    ),
    "a partner without a name": (
        "audience: PARTNER deadline: {seconds: 1} rate_limit_class: WEBHOOK",
        ROUTE,
    ),
    "internal for nobody": ("audience: INTERNAL deadline: {seconds: 1} rate_limit_class: MESH", ""),
    "internal but routed": (
        'audience: INTERNAL services: "a" deadline: {seconds: 1} rate_limit_class: MESH',
        ROUTE,
    ),
    "for customers but not routed": (WHOLE, ""),
    "public in a customer's bucket": (f"{PUBLIC} rate_limit_class: WRITE", ROUTE),
    "a customer in the bucket of logins": (f"{CUSTOMER} rate_limit_class: LOGIN", ROUTE),
    "a partner in the bucket of codes": (
        'audience: PARTNER partners: "a" deadline: {seconds: 1} rate_limit_class: OTP',
        ROUTE,
    ),
    "a step-up of public callers": (
        f"{PUBLIC} rate_limit_class: LOGIN step_up: {{{AGE} new_beneficiary: true}}",
        ROUTE,
    ),
    "a step-up of partners": (
        'audience: PARTNER partners: "a" deadline: {seconds: 1} rate_limit_class: WEBHOOK '
        f"step_up: {{{AGE} new_beneficiary: true}}",
        ROUTE,
    ),
    "a step-up without an age": (f"{WHOLE} step_up: {{new_beneficiary: true}}", ROUTE),
    "a step-up with the age zero": (
        f"{WHOLE} step_up: {{max_age: {{}} new_beneficiary: true}}",
        ROUTE,
    ),
    "a step-up without a condition": (f"{WHOLE} step_up: {{{AGE}}}", ROUTE),
    "a step-up above a negative amount": (
        f"{WHOLE} step_up: {{{AGE} above_minor_units: -1}}",
        ROUTE,
    ),
    "a negative size of bodies": (f"{WHOLE} body_bytes_max: -1", WITH_BODY),
    "bodies that services refuse": (f"{WHOLE} body_bytes_max: 4000001", WITH_BODY),
    "a size of bodies for a method without a body": (f"{WHOLE} body_bytes_max: 100000", ROUTE),
    "a size of bodies for a method without a route": (
        'audience: INTERNAL services: "a" deadline: {seconds: 1} rate_limit_class: MESH '
        "body_bytes_max: 100000",
        "",
    ),
}


def _image(folder: Path, policy: str, route: str) -> bytes:
    option = f"option (bp.policy.v1.method) = {{ {policy} }};" if policy else ""
    (folder / "toys.proto").write_text(TOY.format(policy=option, route=route))
    out = folder / "toys.binpb"
    roots = [f"-I{root}" for root in (folder, REPO / "proto", REPO / "third_party")]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", *roots, "--include_imports"]
    subprocess.run([*protoc, f"--descriptor_set_out={out}", "toys.proto"], check=True)
    return out.read_bytes()


def test_a_method_with_a_whole_policy_is_accepted(tmp_path: Path) -> None:
    loaded = contracts.load(_image(tmp_path, WHOLE, ROUTE))
    assert loaded["/bp.toys.v1.ToysService/ListToys"].scopes == ("toys.read",)


def test_a_step_up_and_a_size_of_bodies_are_read(tmp_path: Path) -> None:
    both = f"{WHOLE} step_up: {{{AGE} above_minor_units: 7}} body_bytes_max: 4000000"
    loaded = contracts.load(_image(tmp_path, both, WITH_BODY))["/bp.toys.v1.ToysService/ListToys"]
    assert loaded.step_up == contracts.StepUpRule(300_000, False, 7)
    assert loaded.body_bytes_max == 4_000_000


@pytest.mark.parametrize(
    "policy", [f"{PUBLIC} rate_limit_class: LOGIN", f"{PUBLIC} rate_limit_class: OTP", WHOLE]
)
def test_a_method_without_a_step_up_has_the_gateways_own_limits(
    policy: str, tmp_path: Path
) -> None:
    loaded = contracts.load(_image(tmp_path, policy, ROUTE))["/bp.toys.v1.ToysService/ListToys"]
    assert (loaded.step_up, loaded.body_bytes_max) == (None, 0)


@pytest.mark.parametrize("case", REFUSED)
def test_a_method_whose_policy_is_missing_or_contradicts_itself_is_refused(
    case: str, tmp_path: Path
) -> None:
    with pytest.raises(contracts.ContractError, match="ToysService/ListToys"):
        contracts.load(_image(tmp_path, *REFUSED[case]))


def test_every_method_in_the_committed_image_has_a_whole_policy() -> None:
    assert contracts.load()


# The protobuf stubs have no type for an extension.
_PERSONAL_DATA: Any = policy_pb2.personal_data


def _messages() -> Iterator[Descriptor]:
    serialised = contracts.default_descriptor_set()
    pool = contracts.pool_of(serialised)
    for file in FileDescriptorSet.FromString(serialised).file:
        if file.package.startswith("bp."):
            for message in pool.FindFileByName(file.name).message_types_by_name.values():
                yield message
                yield from message.nested_types


def _kind(field: FieldDescriptor) -> int:
    return field.GetOptions().Extensions[_PERSONAL_DATA]


def test_personal_data_is_marked_for_redaction() -> None:
    open_fields = [
        field.full_name
        for message in _messages()
        for field in message.fields
        if _kind(field) and not field.GetOptions().debug_redact
    ]
    assert open_fields == []


def test_some_fields_are_marked_as_personal_data() -> None:
    assert any(_kind(field) for message in _messages() for field in message.fields)


def test_buf_lint_asks_for_a_comment_on_every_element() -> None:
    assert "    - COMMENTS\n" in (REPO / "buf.yaml").read_text()


def test_an_element_without_a_comment_fails_the_lint(tmp_path: Path) -> None:
    (tmp_path / "buf.yaml").write_text("version: v2\nlint:\n  use:\n    - COMMENTS\n")
    (tmp_path / "bare.proto").write_text('syntax = "proto3";\npackage bp.bare.v1;\nmessage A {}\n')
    linted = subprocess.run(
        [BIN / "buf", "lint"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "non-empty comment" in linted.stdout


def test_generated_files_are_what_make_gen_writes() -> None:
    generated.compare()
