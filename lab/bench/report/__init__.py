"""The results of a bench: bench.json, tables, charts, documents, targets, and the verdict.

Nothing here sends load or runs a variant.
"""
