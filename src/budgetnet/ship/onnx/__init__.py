"""ONNX files: the graph that torch exports, with the normalisation inside, for ONNX Runtime."""
