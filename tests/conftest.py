"""Puts this folder on the import path, so that the tests of every room can share ``trajectories``."""

from hypothesis import settings

# A busy machine is no failure: hypothesis' default deadline of 200 ms an example measures the machine.
settings.register_profile("prl_ray", deadline=None)
settings.load_profile("prl_ray")
