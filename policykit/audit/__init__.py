"""The decision log: one hash-chained record per request, where it is kept, and what can be asked of it."""
