"""Compares the SQL files that people read with the schema that the migrations make."""

from tools.check.schema.files import refuse_different, write

__all__ = ["refuse_different", "write"]
