"""Puts this folder on the import path, so that the tests of every package can share ``trajectories``."""

from hypothesis import settings

# A busy machine is not a failure: hypothesis' default deadline of 200 ms per example measures the machine.
settings.register_profile("prl_ray", deadline=None)
settings.load_profile("prl_ray")
