"""bpctl: the operator's command line of the bank. Every command has --json."""
