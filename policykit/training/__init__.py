"""Tensors for training under policies: masks replayed, gradients that are exact under them, losses as functions.

Needs torch (the extra `train`). Nothing is imported here, so that each module can be imported by itself.
"""
