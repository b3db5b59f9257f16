"""Sphinx's settings: `make docs` builds from outputs that are kept, `make docs-execute` renews them."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

from flowplane.version import __version__

project = author = "flowplane"
version = release = __version__
copyright = "the flowplane authors"
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "myst_nb",
    "sphinx_design",
    "inventories",
    "api_pages",
    "estimator_pages",
    "commands",
    "links",
    "mathml",
    "gallery",
]
exclude_patterns = ["build", "jupyter_execute", "_static", "gallery/*", "**/.ipynb_checkpoints"]
nitpicky = True
#: Types in signatures that have no public page; names in text are no such references, and have to be there.
nitpick_ignore_regex = [("py:(class|data|exc|attr)", ".*")]
suppress_warnings = ["config.cache"]

default_role = "literal"  # docstrings write `name` for code; the extension `links` makes links of public names
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
add_module_names = False
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks hold their outputs

html_theme = "pydata_sphinx_theme"
html_title = "flowplane"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["names.js"]
html_copy_source = html_show_sourcelink = False
html_math_renderer = "mathml"
html_sidebars = {"changelog": []}
html_theme_options = {
    "logo": {"text": "flowplane"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 7,
    "show_nav_level": 1,
    "navigation_depth": 3,
    "show_toc_level": 2,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
