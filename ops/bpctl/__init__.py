"""bpctl: what an operator of the bank types. Every command has --json."""
