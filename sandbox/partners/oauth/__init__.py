"""The OpenID provider: signing keys with rotation, tokens for machines and for customers."""
