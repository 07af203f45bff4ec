"""bpctl: what an operator of the sandbox bank types. Every command has --json."""
