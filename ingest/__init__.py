"""Sources to frames and audio on the bus."""
