"""The judge, on real stores in which differences were planted."""
