"""Convolutions drawn by properties, on every kernel, compared with plain loops."""
