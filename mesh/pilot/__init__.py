"""The control plane's process: reads config/, keeps its revisions, and serves the proxies."""
