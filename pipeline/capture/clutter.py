"""Files that other programs leave beside a capture's; they are no part of it."""

_NAMES = frozenset({"thumbs.db", "desktop.ini", "@eadir", "__macosx", "#recycle", "lost+found"})
_ENDS = (
    "~", ".bak", ".orig", ".part", ".crdownload", ".tmp", ".temp", ".swp", ".log",
    ".txt", ".md", ".rst", ".pdf", ".html", ".srt", ".vtt", ".lnk", ".url",
)  # fmt: skip


def is_clutter(name: str) -> bool:
    """Whether an entry of a capture is left by an editor, a file manager, a download or a note."""
    low = name.lower()
    hidden = low.startswith((".", "#"))
    return hidden or low in _NAMES or low.split(".")[0] == "readme" or low.endswith(_ENDS)
