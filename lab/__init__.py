"""What attacks and measures the bank: simulator, chaos, fuzz and bench."""
