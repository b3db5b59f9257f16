"""How each layer of a recording moves its data: the transport lens on snapshots."""
