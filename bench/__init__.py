"""Measurements of byokd on real parts. Figures are ratios of cases interleaved in one run, on one machine."""
