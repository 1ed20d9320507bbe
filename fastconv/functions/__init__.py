"""Differentiable operations on tensors, by family."""
