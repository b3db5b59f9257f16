"""What `python -O` strips from zarr, put back: zarr 3.1 removes an entry of a group's metadata inside an assert."""

from __future__ import annotations

from typing import Any

from zarr.core.group import GroupMetadata

__all__ = ["KIND"]

#: The entry that says whether metadata is a group's or an array's; a group's is made of all entries but this one.
KIND = "node_type"

if not __debug__:
    _of_dict = GroupMetadata.from_dict.__func__  # type: ignore[attr-defined]

    def _from_dict(cls: type[GroupMetadata], data: dict[str, Any]) -> GroupMetadata:
        return _of_dict(cls, {name: value for name, value in data.items() if name != KIND})

    GroupMetadata.from_dict = classmethod(_from_dict)  # type: ignore[assignment,method-assign]
