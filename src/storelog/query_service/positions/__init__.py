"""How fresh a read is: the position that the read model holds, and reads that wait for one."""
