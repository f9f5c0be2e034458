"""Observations to state, each change of the score explained."""
