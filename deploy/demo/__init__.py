"""The demo candidate: a generated person, a script, and what Candor was expected to see of it."""
