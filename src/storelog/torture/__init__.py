"""The fault kit of `storelog torture`: load, faults and checks on a system of its own."""
