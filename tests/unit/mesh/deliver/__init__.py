"""Tests of the delivery by streams: state machine, refusals, cache and admission."""
