"""SVG elements as escaped text, and numbers and moments as charts show them."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup, escape


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """`<tag attribute="value">children</tag>`, everything escaped unless it is Markup already.

    `class_` becomes `class`, `view_box` `viewBox`, and any other underscore a hyphen; an attribute that is None is
    left out.
    """
    written = "".join(
        f' {_name(name)}="{escape(value)}"' for name, value in attributes.items() if value is not None
    )
    inner = "".join(str(escape(child)) for child in children)
    return Markup(f"<{tag}{written}>{inner}</{tag}>" if inner else f"<{tag}{written}/>")


def joined(parts: list[Markup]) -> Markup:
    return Markup("").join(parts)


def percent(share: float) -> str:
    """`12.5%` for 0.125, with at most two decimals."""
    return f"{plain(100 * share)}%"


def plain(number: float) -> str:
    """The number with at most two decimals and no trailing zeros."""
    text = f"{number:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def compact(count: float) -> str:
    """A count in at most five characters: `950`, `1.2k`, `35M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(count) >= size:
            scaled = count / size
            return f"{scaled:.1f}".removesuffix(".0") + unit if scaled < 100 else f"{scaled:.0f}{unit}"
    return plain(count)


def clock(moment: datetime) -> str:
    """`30 Nov 17:05` in UTC; pages say once that times are in UTC."""
    return f"{moment.astimezone(UTC):%-d %b %H:%M}"


def _name(name: str) -> str:
    return {"class_": "class", "view_box": "viewBox", "aspect": "preserveAspectRatio"}.get(
        name, name.replace("_", "-")
    )
