"""The reader of the policy options."""
