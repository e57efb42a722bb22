"""The run viewer: the reward of every line of every sample, and the reasons for it. Reads run folders, writes nothing.

- ``runs`` finds runs in the given folders; opens nothing outside them
- ``tail`` reads the new lines of growing files
- ``history``    one run over its steps: metrics and summaries of samples
- ``overview``, ``problems``, ``tree``, ``sample``, ``locator``, ``labels``, ``cluster``, ``compare``: the data of each
  page
- ``answers``    maps an address to a page's data: the only list of addresses
- ``server``     serves the pages over HTTP, on loopback
- ``export``     writes the pages into one HTML file

The pages are ES modules in ``static/``; they use only the addresses of ``answers``.
"""
