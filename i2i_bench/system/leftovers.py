"""What systems and programs leave among people's files, which nobody means."""

from __future__ import annotations

_LEFT = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
    *("__macosx", "icon\r", "@eadir", "@tmp", "@recycle", "#recycle", "#snapshot", "lost+found"),
}  # of Windows, macOS, network storage and Linux, beside hidden files


def is_left_by_system(name: str) -> bool:
    """Tell by the name of a file or folder whether a system left it, or hides it."""
    return name.startswith(".") or name.lower() in _LEFT
