"""The opinion: a pure fold from observations to risk. Reads no clock, no environment, no socket."""
