"""Hostile input for the bank: thousands of requests from its OpenAPI document and its messages."""
