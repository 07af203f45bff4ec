"""Customers, their accounts and balances."""
