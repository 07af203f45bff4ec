"""The sandbox bank's customers, and how they get into its databases."""
