"""Families of problems that go through the public functions: values and gradients of a call."""
