"""What is shown and judged: bench.json, tables, charts, documents, targets, and the verdict.

Nothing here sends load or runs a variant.
"""
