"""The encoders as served: ONNX Runtime and a tokenizer; load, then prepare → run → finish. No Ray, no torch."""
