"""What the emulated Syntage has found out about its entities: made up from a seed, row by row, when it is asked for."""
