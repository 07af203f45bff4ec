"""Pure words that every service speaks: money, ids, clock, errors. No I/O, no protobuf."""
