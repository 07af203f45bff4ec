"""How a partner with a JSON API refuses a request: one error with status, code and field."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

ModelT = TypeVar("ModelT", bound=BaseModel)


class WireError(Exception):
    """A refusal with its HTTP status and code."""

    def __init__(
        self, status: int, code: str, message: str, field: str = "", retry_after_s: int = 0
    ) -> None:
        """`field` names the invalid field of the request, if there is one. `retry_after_s` is the
        header Retry-After; 0 sends none."""
        super().__init__(message)
        self.status, self.code, self.field = status, code, field
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        """Return the JSON error body."""
        error = {"code": self.code, "message": str(self)}
        return {"error": {**error, "field": self.field} if self.field else error}

    def headers(self) -> dict[str, str]:
        """Return the headers of the answer."""
        return {"Retry-After": str(self.retry_after_s)} if self.retry_after_s else {}


def parsed(kind: type[ModelT], body: bytes) -> ModelT:
    """Return a JSON body as a model; raise WireError 400 that names the first invalid field."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise WireError(400, "INVALID_REQUEST", first["msg"], field) from error
