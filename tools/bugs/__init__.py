"""Known bugs as changes of text, to put one back and see what finds it."""
