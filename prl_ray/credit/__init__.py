"""Where a failing program goes wrong first. Pure: no Ray, no engine.

- ``locators``   ``LOCATORS``: functions from a batch to each failure's first wrong line, by name
- ``rule``       fits the locator that reads surprise and PRM
- ``verdicts``   the same by execution: states compared with a reference's, prefixes that a reference completes, repair
- ``trace``      a program that runs another one and reports its state after each line
- ``columns``    what execution found, as columns that travel with a batch
- ``quality``    how often a locator finds the line that execution finds
"""
