"""Networks to ONNX: a run is recorded, and written operation by operation."""
