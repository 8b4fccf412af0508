"""Jinja2: pages that are one file each. Styles and pictures stand in the page, so it opens offline and can be sent on.

A room that writes pages keeps their templates in its folder `pages`; they extend `document.html` in `templates` here,
which brings the styles for a screen, a dark one, a phone and paper.
"""

import base64
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from fashion.images.encoding import encode_png


def render(room: str, template: str, **content: Any) -> str:
    """Return a page; text in its content is escaped, and a name that the template uses and nobody gave is an error.

    Args:
        room: the package that has the template in its folder `pages`.
        content: also functions that the template calls. It has the filters `count`, `percent`, `share`, `moment`,
            `picture` (an image (height, width, channels) as an address) and `png` (the content of a PNG file as one).
    """
    return _environment(room).get_template(template).render(content)


def picture_address(content: bytes, media_type: str = "image/png") -> str:
    """Return the content of a picture file of any kind that browsers show as an address that stands in a page."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


@cache
def _environment(room: str) -> Environment:
    """Return the templates of a room, once for all of its pages."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(room, "pages"), PackageLoader("fashion.adapters.documents", "templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": "{:,}".format,
        "percent": "{:.1%}".format,
        "share": "{:.0%}".format,
        "moment": "{:%Y-%m-%d %H:%M:%S}".format,
        "picture": lambda image: picture_address(encode_png(image)),
        "png": picture_address,
    }
    return environment
