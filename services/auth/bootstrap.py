"""The wiring of the auth service; nothing else here."""


from bp.auth.v1 import auth_service_pb2

SERVICE = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]
DRAIN_S = 5.0
"""How long messages that the answers did not wait for may take after SIGTERM."""
