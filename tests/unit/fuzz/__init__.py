"""The pure parts of the fuzzer."""
