"""The control plane's real process, with real proxies."""
