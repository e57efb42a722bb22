"""Experiments: arms × seeds from one YAML file, their runs and their results.

- ``plan``        the file: hypothesis, common settings, arms, seeds
- ``records``     the record of a finished run: a small JSON file, the input of everything below
- ``runs``        executes the runs without a record, each in its own process
- ``statistics``  paired differences, bootstrap intervals, Holm's correction
- ``summary``     the result of all runs
- ``page``        the result as one HTML page
"""
