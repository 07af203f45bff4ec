"""The deterministic simulation: production code in a seeded world. See docs/simulation.md."""
