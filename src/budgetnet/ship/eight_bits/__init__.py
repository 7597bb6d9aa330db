"""From a trained network to eight bits, once for all formats: ranges, corrected biases, training that rounds."""
