"""Any family as an ONNX graph, and as the model file that listeners load."""
