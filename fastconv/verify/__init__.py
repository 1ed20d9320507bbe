"""Checks that draw their own problems: generated geometry, published cases, random graphs."""
