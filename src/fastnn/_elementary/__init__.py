"""The elementary functions and activations as formulas of one number, for every language in which fastnn writes code.

They repeat the kernels' functions (elementary.h, elementary_gated.h, elementary_special.h and activations.h) operation by
operation, and give the same bits. Those files name the sources of the formulas and constants. A formula is a function of
`Number`s: called with the numbers of a language, it returns its result in that language.
"""
