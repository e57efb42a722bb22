"""The stages of the recipe, one module each (see :class:`prl_ray.stages.context.Stage`).

- ``label``     variants of the references with execution verdicts, one label per line
- ``sft``       the policy learns the references
- ``rollouts``  labelled samples of the SFT policy; made by ``prm`` if ``prm.rollouts`` is set
- ``prm``       the reward models: PRM, and ORM if needed
- ``ppo``       the policy learns from rewards
- ``evaluate``  pass@k of the policies on held-out problems
"""
