"""Known bugs as text changes: reintroduce one to see which test or tool finds it."""
