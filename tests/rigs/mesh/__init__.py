"""The mesh for tests: real Envoys, certificates, upstreams and partners, and a fixed model."""
