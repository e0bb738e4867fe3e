"""Fitting the towers: the loss, the training loop, when it stops, and how it continues."""
