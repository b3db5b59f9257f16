"""What every layer of flowplane shares: array edges, the network, random streams, schedules, progress bars."""
