"""Folders of C++ for firmware: the int8 model as an array, and all that running it by TensorFlow Lite Micro takes."""
