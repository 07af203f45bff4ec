"""Draws the demo: panels, arrows between parts, balances as bars. It is independent of the bank."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ops.display import shown

ARROW_WIDTH = 14
BAR_WIDTH = 24


@dataclass
class Scene:
    """One scene: the facts it recorded and the checks that failed."""

    name: str
    began: float = field(default_factory=time.monotonic)
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    broken: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """True when every check passed."""
        return not self.broken

    def report(self) -> dict[str, Any]:
        """Return the scene as it is written to demo.json."""
        seconds = round(self.seconds, 2)
        report = {"name": self.name, "ok": self.ok, "seconds": seconds, "facts": self.facts}
        return report | ({"broken": self.broken} if self.broken else {})


class Stage:
    """The terminal, and the scenes that were played on it."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.scenes: list[Scene] = []

    def begin(self, name: str, story: str) -> Scene:
        """Open a scene; print its title and what will happen."""
        scene = Scene(name)
        self.scenes.append(scene)
        title = f"[bold]{len(self.scenes)} · {name}[/bold]"
        self.console.print()
        self.console.print(Panel(story, title=title, title_align="left", border_style="blue"))
        return scene

    def arrow(
        self, scene: Scene, source: str, target: str, what: str, *, back: bool = False
    ) -> None:
        """Draw one message between two parts, with the time since the scene began."""
        since = time.monotonic() - scene.began
        line = "─" * ARROW_WIDTH
        shaft = f"◄{line}" if back else f"{line}►"
        text = Text.assemble(
            (f"  {since:6.2f} s  ", "dim"),
            (f"{source:>9} ", "bold cyan"),
            (shaft, "yellow" if back else "green"),
            (f" {target:<14} ", "bold cyan"),
            what,
        )
        self.console.print(text)

    def close(self) -> None:
        """End the current scene and record its duration."""
        scene = self.scenes[-1]
        scene.seconds = time.monotonic() - scene.began

    def balance(self, label: str, minor_units: int, whole: int) -> None:
        """Draw an account's balance as a bar."""
        filled = round(BAR_WIDTH * minor_units / whole) if whole else 0
        bar = "█" * filled + "░" * (BAR_WIDTH - filled)
        self.console.print(f"            {label:<20} {bar} {minor_units / 100:>12,.2f} USD")

    def holds(self, scene: Scene, what: str, condition: object) -> None:
        """Print a check and whether it passed; one failed check fails the scene."""
        if condition:
            self.console.print(f"            [green]✔[/green] {what}")
        else:
            scene.broken.append(what)
            self.console.print(f"            [red]✘ {what}[/red]")

    def phone(self, push: dict[str, Any]) -> None:
        """Draw a push message as the customer's telephone shows it."""
        push_text = push["notification"]
        body = Text.assemble(shown(push_text["title"], "bold"), "\n", shown(push_text["body"]))
        panel = Panel(body, title="📱 BP", width=60, border_style="magenta")
        self.console.print(panel, justify="center")

    def end(self, seconds: float) -> bool:
        """Draw the summary; return True when every scene passed."""
        table = Table(title="Summary", title_justify="left")
        for heading in ("", "scene", "seconds", "facts"):
            table.add_column(heading, justify="right" if heading == "seconds" else "left")
        for scene in self.scenes:
            seen = ", ".join(f"{name} {value}" for name, value in scene.facts.items())
            mark = "[green]✔[/green]" if scene.ok else "[red]✘[/red]"
            table.add_row(mark, scene.name, f"{scene.seconds:.1f}", seen)
        self.console.print()
        self.console.print(table)
        ok = all(scene.ok for scene in self.scenes)
        word = "[green]All checks passed[/green]" if ok else "[red]Some checks failed[/red]"
        self.console.print(f"{word}, in {seconds:.0f} s.")
        return ok
