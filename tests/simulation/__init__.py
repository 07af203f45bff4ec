"""The simulation holds, agrees with the real database, and finds the bugs that it should find."""
