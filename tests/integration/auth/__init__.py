"""The parts of auth on real stores."""
