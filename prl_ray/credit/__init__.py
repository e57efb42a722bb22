"""The first wrong line of a failing program. Pure: no Ray, no engine.

- ``locators``   ``LOCATORS``: named functions that locate each failure's first wrong line
- ``rule``       fits the locator that reads surprise and PRM
- ``verdicts``   location by execution: states compared with a reference's, prefixes that a reference completes, repairs
- ``completion_judge``  the most lines of a program that a completion which passes keeps
- ``screen``     finds completions that fail, many in one run of the sandbox
- ``trace``      a program that runs another one and reports its state after each line
- ``columns``    results of execution, as columns aligned with a batch
- ``quality``    hit rates of a locator against execution
"""
