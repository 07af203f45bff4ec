"""Envoy's configuration from what SREs and contracts say: ingest, model, translate, snapshot."""
