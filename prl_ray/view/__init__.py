"""The run viewer: what every line of every sample earned, and why. Reads run folders, writes nothing.

- ``runs``       finds runs in the given folders; nothing outside them is opened
- ``tail``       files that grow: reads what is new
- ``history``    one run over its steps: metrics and what remains of samples
- ``overview``, ``problems``, ``tree``, ``sample``, ``locator``, ``labels``, ``cluster``, ``compare``: data of a page
- ``answers``    from an address to a page's data: the one list of addresses
- ``server``     the same over HTTP, on loopback
- ``export``     the same in one HTML file

The pages themselves are ES modules in ``static/``; they only know addresses of ``answers``.
"""
