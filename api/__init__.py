"""State to people, over HTTP."""
