"""One table, as aligned text for a terminal or as HTML."""

from collections.abc import Iterable, Sequence


def text(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns, the first to the left and numbers to the right, under a ruled head."""
    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = []
    for first, *others in cells:
        right = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *right]).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def html(head: Iterable[str], rows: Iterable[str]) -> str:
    """A table that scrolls where it is too wide; heads and rows are HTML."""
    cells = "".join(f"<th>{cell}</th>" for cell in head)
    return f'<div class="scroll"><table><tr>{cells}</tr>{"".join(rows)}</table></div>'
