"""A small experiment file."""

FILE = """
name: toy
hypothesis: "Lines & outcomes: < 5 points."
baseline: outcome
seeds: [1, 2]
common: [loop.steps=2]
start: {overrides: [model=tiny, "stages=[sft]"]}
arms:
  outcome: {overrides: [reward=outcome]}
  gate: {overrides: [reward=outcome, algorithm.estimator=rloo], says: the gate}
"""
