"""Trains the detector on one GPU in minutes: a packed set goes there, pages and steps stay on the GPU, a model in parts comes back."""
