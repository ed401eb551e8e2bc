"""How Sphinx builds the documentation; what is generated of the pages, ``reference.py`` writes.

Sphinx with MyST was chosen over mkdocs-material with mkdocstrings: 17 packages to 20 on top of the
harness's own, its theme included.
"""

project = "i2i-bench"
author = "The i2i-bench authors"
extensions = ["myst_parser"]
myst_heading_anchors = 3  # so that a page can be entered at a heading
smartquotes = False  # two hyphens are those of an option
html_theme = "alabaster"
html_theme_options = {
    "description": "The benchmark suite for image-to-image translation",
    "page_width": "1180px",  # room for the 100 columns of code
}
html_show_sourcelink = False
html_show_copyright = False
