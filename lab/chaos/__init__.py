"""Random faults on a running bank: a seeded schedule under load, then the judge."""
