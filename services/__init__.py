"""The bank's services: one deployable folder each, over a shared kernel and chassis."""
