"""How Sphinx builds these pages into a site: ``make docs`` writes it to build/site."""

project = "prl_ray"
copyright = "the prl_ray contributors"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "prl_ray"
html_static_path: list[str] = []
exclude_patterns = ["README.md"]  # index.rst includes it
# Links to headings (`page.md#heading`), with the anchors that code hosts make.
myst_heading_anchors = 4
