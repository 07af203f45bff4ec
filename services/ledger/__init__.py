"""The books of the bank: double entry in SQL functions, and a thin asyncpg API for them."""
