"""How Candor is started."""
