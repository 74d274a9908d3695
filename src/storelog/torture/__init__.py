"""The fault kit behind `storelog torture`: load, faults and checks on a system of its own."""
