"""Turn links to files of the repository into links that work on the site.

Pages are also read in the repository, where they link to files by relative paths. On the site, a link to a Markdown file
that a page includes leads to this page. A link to any other file outside docs/ leads to GitHub if `repository` is set in
conf.py. Otherwise, it downloads the file, and a link to a folder becomes plain text.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
LINK = re.compile(r"\[(?P<text>[^\[\]]+)\]\((?P<path>[^()#:\s]+)(?P<anchor>#[^()\s]*)?\)")
PAGES = {"README.md": "index.md", "benchmarks/README.md": "benchmarks.md", "CHANGELOG.md": "changelog.md"}
PAGES |= {"CONTRIBUTING.md": "contributing.md"}


def rewritten(text: str, file: Path, page: Path, repository: str) -> str:
    """Return the text of a file with links that work from a page, which is this file or includes it."""

    def link(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(file.parent / found["path"]))
        if not target.exists() or not target.is_relative_to(ROOT):
            return found[0]
        name = target.relative_to(ROOT).as_posix()
        if name in PAGES:
            target = DOCS / PAGES[name]
        elif not target.is_relative_to(DOCS) and repository and target.suffix != ".png":
            kind = "tree" if target.is_dir() else "blob"
            return f"[{found['text']}](https://github.com/{repository}/{kind}/main/{name})"
        elif target.is_dir():
            return found["text"]
        return f"[{found['text']}]({os.path.relpath(target, page.parent)}{found['anchor'] or ''})"

    return LINK.sub(link, text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Rewrite pages and the files that they include when Sphinx reads them."""
    app.add_config_value("repository", "", "env")

    def read_page(app: Sphinx, docname: str, content: list[str]) -> None:
        page = Path(app.env.doc2path(docname))
        if page.suffix == ".md":
            content[0] = rewritten(content[0], page, page, app.config.repository)

    def read_included(app: Sphinx, path: Path, docname: str, content: list[str]) -> None:
        file = Path(os.path.normpath(DOCS / path))
        if file.suffix == ".md":
            content[0] = rewritten(content[0], file, Path(app.env.doc2path(docname)), app.config.repository)

    app.connect("source-read", read_page)
    app.connect("include-read", read_included)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
