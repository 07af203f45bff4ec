"""`make gen`: write everything that is generated, and move on what counts as released.

Exit code 1 when the contracts break what is released (tools/check/released.py) or a released
migration was changed (tools/check/migrations.py).
"""

import argparse
import sys

from tools.check import generated, migrations, released, schema
from tools.check.tools import CheckFailed


def main() -> int:
    """Generate; the exit code."""
    parser = argparse.ArgumentParser(prog="make gen", description=__doc__)
    parser.add_argument("--accept-breaking", action="store_true", help="release a breaking change")
    accepted: bool = parser.parse_args().accept_breaking
    try:
        if not accepted:
            released.refuse_breaking()
        generated.write()
        # First, so that a migration that PostgreSQL refuses is not released with its digest.
        schema.write()
        migrations.advance()
        migrations.refuse_changed()
    except CheckFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    released.advance()
    return 0


if __name__ == "__main__":
    sys.exit(main())
