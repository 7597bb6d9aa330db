"""The files that leave the tool: a trained network in the form that another runtime runs."""
