"""Models: each backend loads one, runs a batch and returns raw arrays. It knows nothing of meaning."""
