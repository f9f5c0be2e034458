"""Frames in, `frame.seen` out: the freshest frames of many sessions, one batch at a time."""
