"""The sandbox bank's customers, and the code that writes them into its databases."""
