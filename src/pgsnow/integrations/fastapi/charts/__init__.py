"""Charts as SVG text, drawn on the server by pure functions. They need no script and no inline style: positions are
attributes in percent, so a chart is as wide as its place on the page, and colours are CSS classes of the stylesheet."""
