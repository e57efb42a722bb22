"""``python -m prl_ray.score``: a reward model's score for each line of a program.

- ``program``: files and a problem → scored programs, with the code of the training's scorer
- ``views``: a scored program as JSON and in the terminal
- ``page``: scored programs as one HTML page
- ``__main__``: the command
"""
