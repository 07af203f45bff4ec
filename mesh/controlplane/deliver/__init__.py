"""How the translated resources reach the proxies."""
