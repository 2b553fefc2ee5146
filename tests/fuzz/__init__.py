"""Compare random programs across instruction sets, threads, time slices and the fallback: ``python -m fuzz`` in tests/.

It follows simdjson's fuzzer (https://github.com/simdjson/simdjson, fuzz/), which runs all implementations on one input.
"""
