"""The stages of the recipe, one module each (see :class:`prl_ray.stages.context.Stage`).

- ``label``     variants of the references with execution verdicts, one label per line
- ``sft``       the policy learns the references
- ``rollouts``  samples of the SFT policy, labelled; made by ``prm`` if ``prm.rollouts`` asks for it
- ``prm``       the reward models: PRM, and ORM if something needs it
- ``ppo``       the policy learns from rewards
- ``evaluate``  pass@k of the policies on held-out problems
"""
