"""Exposures to wafers per month; defects to good and usable dies; cost of a die."""
