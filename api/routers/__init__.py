"""The endpoints. A router parses, makes one call, shapes the answer."""
