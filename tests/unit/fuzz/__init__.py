"""What the fuzzer itself is made of."""
