"""`make check` and `make gen`: style, types, imports, contracts, and generated files."""
