"""Tools that attack and measure the bank: simulator, chaos, fuzz and bench."""
