"""What the provider refuses, with the registered error codes of RFC 6749, 7009 and 8693."""


class OauthError(Exception):
    """A refusal of an endpoint for clients, by RFC 6749 section 5.2."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        """`code` is the registered error code."""
        super().__init__(description)
        self.status, self.code = status, code


def invalid_client(description: str) -> OauthError:
    """Return the refusal of a client that could not be authenticated."""
    return OauthError("invalid_client", description, 401)


def invalid_request(description: str) -> OauthError:
    """Return the refusal of a request with a missing or malformed parameter or token."""
    return OauthError("invalid_request", description)
