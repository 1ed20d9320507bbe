"""The operators by kind; importing a file registers what is in it."""
