"""What the demo prints about a login."""

import io

from rich.console import Console

from sandbox.demo import login_scenes
from sandbox.demo.stage import Stage


def test_the_lines_of_a_text_message_are_lines_of_the_demo() -> None:
    stage = Stage()
    printed = stage.console = Console(file=io.StringIO(), width=200)
    login_scenes.text_message(stage, "123456 is your code.\n@app.bp.example #123456")
    assert isinstance(printed.file, io.StringIO)
    assert printed.file.getvalue().splitlines() == [
        "            SMS: 123456 is your code.",
        "                 @app.bp.example #123456",
    ]
