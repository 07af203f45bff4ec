"""The pure parts of the fault runner: schedules, meanings of answers, comparison with the books."""
