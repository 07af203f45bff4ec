"""`bpctl mesh …`: check, apply, compare and observe the configuration of the mesh."""
