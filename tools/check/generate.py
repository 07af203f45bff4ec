"""`make gen`: write all generated files; record released contracts and migrations.

Exit code 1 when the contracts break the released ones (tools/check/released.py) or a released
migration was changed (tools/check/migrations.py).
"""

import argparse
import sys

from tools.check import generated, migrations, released, schema
from tools.check.tools import CheckFailed


def main() -> int:
    """Generate, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make gen", description=__doc__)
    parser.add_argument("--accept-breaking", action="store_true", help="release a breaking change")
    accepted: bool = parser.parse_args().accept_breaking
    try:
        if not accepted:
            released.refuse_breaking()
        generated.write()
        # Before the digests, so that a migration that PostgreSQL refuses is not marked as released.
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
