"""Sphinx's settings."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

from circus import __version__  # noqa: E402

project = "Circus"
author = "The Circus maintainers"
project_copyright = author
release = version = __version__

extensions = ["tables", "extensions"]
html_theme = "furo"
html_title = f"Circus {release}"
html_static_path = ["_static"]
html_show_copyright = False
exclude_patterns = ["_build"]
nitpicky = True
highlight_language = "ini"

man_pages = [
    ("man/circusd", "circusd", "supervise the processes of an ini file", [], 8),
    ("man/circusctl", "circusctl", "look at and steer a running circusd", [], 1),
    ("man/circus-plugin", "circus-plugin", "run one plugin beside a circusd", [], 1),
    ("man/circus-top", "circus-top", "watch a circusd and what its processes use", [], 1),
    ("man/circusd-stats", "circusd-stats", "publish what the processes of a circusd use", [], 1),
]
