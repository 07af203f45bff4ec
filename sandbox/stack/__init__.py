"""The whole bank on one machine: real parts, started, watched and stopped by one supervisor."""
