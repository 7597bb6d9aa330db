"""OpenVINO folders: the graph that its converter makes of a traced model, with the normalisation inside."""
