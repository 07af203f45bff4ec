"""The deterministic simulation: production code in a world of one seed. See docs/simulation.md."""
