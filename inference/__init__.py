"""Frames and audio to observations."""
