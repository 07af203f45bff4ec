"""The model becomes Envoy's resources. Pure: no file, no socket, no clock.

How secrets reach a proxy (a watched file now, a stream later) is asked of `SecretSource`, so the
same translation serves every way of delivery.
"""
