"""What customers are told: one push for each event, whatever is delivered again."""
