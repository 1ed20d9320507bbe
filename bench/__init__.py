"""Benchmarks: kernels against the machine's peak, and against PyTorch."""
