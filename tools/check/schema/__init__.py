"""Today's SQL as files: what the migrations make, compared with what a reader finds."""

from tools.check.schema.files import refuse_different, write

__all__ = ["refuse_different", "write"]
