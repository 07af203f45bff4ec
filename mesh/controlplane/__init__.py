"""Builds Envoy's configuration from config/ and contracts: ingest, resolve, translate, deliver."""
