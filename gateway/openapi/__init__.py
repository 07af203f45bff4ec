"""The OpenAPI document, generated from the contracts."""
