"""The mesh's control plane on the bank's stores."""
