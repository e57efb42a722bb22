"""prl_ray: process-supervised reinforcement learning for code, on Ray.

Importing the package is cheap: Ray, torch, vLLM and DeepSpeed are imported only by the rooms that need them.
"""

__version__ = "0.1.0"
