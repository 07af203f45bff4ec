"""Pure values that every service uses: money, ids, identities, errors. No I/O, no protobuf."""
