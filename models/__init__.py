"""The encoders as served: load, then prepare → run → finish. ONNX Runtime; no Ray, no torch."""
