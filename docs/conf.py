"""The configuration of the site, which Sphinx reads: `make -C docs html` builds it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sphinx_gallery.sorting import ExplicitOrder

import fastnn

sys.path.append(str(Path(__file__).parent / "_extensions"))

project = "fastnn"
author = "fastnn developers"
copyright = "fastnn developers"
version = release = fastnn.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "sphinx_design",
    "repository_links",
    "public_members",
]
exclude_patterns = ["_build", "_extensions", "gallery", "auto_gallery/*.ipynb"]
nitpicky = True
# `name` in a docstring becomes a link if it is a public name, and is set in italics otherwise.
default_role = "autolink"
nitpick_ignore_regex = [("py:obj", r"(?!fastnn\.).*")]  # parameters, and names of other packages
# The repository on GitHub, to which pages link for files that are not on the site; GitHub's workflows set it.
repository = os.environ.get("GITHUB_REPOSITORY", "")

# ---- Markdown ----

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

# ---- Docstrings ----

autosummary_generate = False
autodoc_typehints = "none"  # docstrings describe the types
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_use_plots = False

# ---- Gallery ----

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "within_subsection_order": ExplicitOrder(
        [
            "plot_xor.py",
            "plot_spirals.py",
            "plot_digits.py",
            "plot_early_stopping.py",
            "plot_schedules.py",
            "plot_gaussian.py",
            "plot_quantiles.py",
            "plot_image.py",
            "plot_sparse.py",
            "plot_search.py",
            "plot_custom_activation.py",
            "plot_custom_loss.py",
            "plot_surrogate.py",
            "plot_cart_pole.py",
            "plot_numba.py",
            "plot_speed.py",
        ]
    ),
    "download_all_examples": False,
    "write_computation_times": False,
    "capture_repr": (),
    "reset_modules": ("matplotlib",),
    "doc_module": ("fastnn",),
    "backreferences_dir": "auto_gallery/backreferences",
}

# ---- Pages ----

html_theme = "pydata_sphinx_theme"
html_title = f"fastnn {version}"
html_static_path = ["_static"]
html_css_files = ["fastnn.css"]
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"changelog": [], "benchmarks": []}
html_theme_options = {
    "logo": {"text": f"fastnn {version}"},
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version", "theme-version"],
    "use_edit_page_button": False,
}
if repository:
    html_theme_options["icon_links"] = [
        {"name": "GitHub", "url": f"https://github.com/{repository}", "icon": "fa-brands fa-github"}
    ]
copybutton_prompt_text = ">>> |\\.\\.\\. |\\$ "
copybutton_prompt_is_regexp = True

# ---- Links to other sites: check_links.py checks those inside the site ----

linkcheck_timeout = 10
linkcheck_retries = 2
linkcheck_anchors = False
# Publishers' servers refuse programs.
linkcheck_ignore = [r"https://doi\.org/"]
