"""Many parties at once, in arrays: what is exact for each of them, and which of them have to be asked one by one."""
