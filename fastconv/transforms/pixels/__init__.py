"""The arithmetic of the transforms, on arrays (N, C, H, W) with values for each image."""
