"""Delivers the translated resources to the proxies."""
