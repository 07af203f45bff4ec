"""What is put into the running parts before the bank can use them; each step may be repeated."""
