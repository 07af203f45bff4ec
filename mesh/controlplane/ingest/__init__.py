"""Reads mesh/config/ and the endpoints file; rejects everything that it does not support."""
