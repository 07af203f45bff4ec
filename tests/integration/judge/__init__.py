"""The judge on real stores with planted differences."""
