"""Envoy's configuration made from what SREs and contracts say: ingest, model, translate, snapshot."""
