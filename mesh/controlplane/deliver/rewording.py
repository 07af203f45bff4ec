"""Says the same secret in other bytes.

Envoy ignores a secret that equals the last one, also one that it has refused. A secret names files,
so after their repair the same secret has to be sent again, and it has to differ.
"""

from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret

from mesh.controlplane.deliver.packed import Packed

_SAME = "/."
"""The end of a folder's path that names the same folder."""


def reworded(secret: Packed) -> Packed:
    """Return a secret with the same meaning and other bytes; name and version stay."""
    message = Secret.parse(secret.body)
    for part in (message.tls_certificate, message.validation_context):
        if part is not None and part.watched_directory is not None:
            part.watched_directory.path += _SAME
    return Packed(secret.kind, secret.name, bytes(message), secret.version, secret.uses)
