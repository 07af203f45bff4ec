"""Pure words that every service speaks: money, ids, identities, errors. No I/O, no protobuf."""
