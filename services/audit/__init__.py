"""The immutable audit log: append-only hash chains that contain every event in full."""
