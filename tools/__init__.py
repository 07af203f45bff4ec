"""What builds the repository: checks and generated files."""
