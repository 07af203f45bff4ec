"""The pure parts of the fault runner: schedules, what answers mean, the reckoning."""
