"""Login: password, one-time code, biometrics, sessions and tokens."""
