"""Sound to words and pauses: a worker leases sessions' audio and appends what it heard to the log."""
