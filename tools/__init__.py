"""Tools that check the repository and write its generated files."""
