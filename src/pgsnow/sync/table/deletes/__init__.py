"""Search for rows that were deleted in the source, and their removal from the target.

docs/decisions/37-a-key-is-deleted-if-a-later-snapshot-lacks-it.md shows why no row is deleted that exists.
"""
