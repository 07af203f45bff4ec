"""The simulation: its invariants hold, one seed gives one history, and planted bugs are found."""
