"""`bpctl mesh` refuses arguments without sense before it asks the control plane."""

import pytest
import typer
from typer.testing import CliRunner

from ops.bpctl.mesh import commands
from ops.bpctl.mesh.durations import seconds

REFUSED = {
    "inject customers": "give either --delay or --abort",
    "inject customers --delay 2s --abort 503": "give either --delay or --abort",
    "inject customers --delay 2": "is no duration",
    "inject customers --delay 0s": "is no duration",
    "inject customers --delay 2s --for 1d": "is no duration",
    "inject customers --abort 200": "no status from 400 to 599",
    "inject customers --abort BROKEN": "no status of HTTP and no code of gRPC",
    "inject customers --abort 503 --percent 0": "",
    "inject customers --abort 503 --percent 101": "",
    "inject customers payments --abort 503": "name one service or partner",
    "inject stop": "whose fault ends",
    "inject stop customers --abort 503": "takes no fault",
    "canary start customers": "",
    "canary start customers --version v2 --weight 0": "",
    "canary start customers --version v2 --weight 101": "",
    "canary start customers --version v2 --steps 50,10": "write growing percentages",
    "canary start customers --version v2 --steps 10,x": "write growing percentages",
    "canary start customers --version v2 --steps 0,10": "write growing percentages",
    "canary start customers --version v2 --steps 10 --every soon": "is no duration",
    "canary start customers --version v2 --threshold 101": "",
    "drain": "",
    "top --seconds 1": "",
    "top --seconds 901": "",
}


@pytest.mark.parametrize("line", REFUSED)
def test_arguments_without_sense_are_refused(line: str) -> None:
    """With exit code 2."""
    app = typer.Typer()
    commands.register(app)
    done = CliRunner().invoke(app, ["mesh", *line.split()], env={"COLUMNS": "300"})
    assert done.exit_code == 2, done.output
    assert REFUSED[line] in done.output


def test_durations_have_a_unit() -> None:
    """As operators write them."""
    assert [seconds(each) for each in ("500ms", "2s", "3m", "1h")] == [0.5, 2, 180, 3600]
