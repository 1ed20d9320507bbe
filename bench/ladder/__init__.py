"""The ladder: one 3×3 convolution, from plain loops to the engine's kernel, a rung at a time."""
