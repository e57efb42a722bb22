"""Experiments: arms × seeds from one YAML file, their runs, and what they show.

- ``plan``        the file: hypothesis, common settings, arms, seeds
- ``records``     what is kept of a finished run: a small JSON file, from which everything below is made
- ``runs``        makes the runs that have no record yet, each in a process of its own
- ``statistics``  paired differences, bootstrap intervals, Holm's correction
- ``summary``     one result for all runs
- ``page``        the result as one HTML page
"""
