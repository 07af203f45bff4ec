"""One test for each bug that was found here, named after what it did."""
