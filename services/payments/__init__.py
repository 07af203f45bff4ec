"""Interbank transfers: the saga from a customer's debit to the clearing house and back."""
