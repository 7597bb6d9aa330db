"""TensorFlow Lite files: the ops of a network with its weights, in eight bits, for LiteRT and TensorFlow Lite Micro."""
