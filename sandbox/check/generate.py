"""`make gen`: write everything that is generated, and move on what counts as released.

Exit code 1 when the contracts break what is released (sandbox/check/released.py) or a released
migration was changed (sandbox/check/migrations.py).
"""

import argparse
import sys

from sandbox.check import generated, migrations, released
from sandbox.check.tools import CheckFailed


def main() -> int:
    """Generate; the exit code."""
    parser = argparse.ArgumentParser(prog="make gen", description=__doc__)
    parser.add_argument("--accept-breaking", action="store_true", help="release a breaking change")
    accepted: bool = parser.parse_args().accept_breaking
    try:
        if not accepted:
            released.refuse_breaking()
        generated.write()
        migrations.advance()
        migrations.refuse_changed()
    except CheckFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    released.advance()
    return 0


if __name__ == "__main__":
    sys.exit(main())
