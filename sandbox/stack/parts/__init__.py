"""One module a part: what is started, with which configuration, and how it shows it is ready."""
