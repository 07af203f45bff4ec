"""Pure parts of the fault runner: schedules, the reading of answers, comparison with the books."""
