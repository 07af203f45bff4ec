"""Running parts and sample data that tests of several folders share; no tests."""
