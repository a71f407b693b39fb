"""Training: a network simplified, its layers encoded, the rest retrained around the errors (extra ``train``).

The modules below import torch; nothing else in the project does.
"""
