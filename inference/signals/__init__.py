"""Pure maths from raw numbers to meaning: no clock, no environment, no socket."""
