"""Compare random programs across instruction sets, threads, time slices and the fallback: ``python -m fuzz`` in tests/.

After simdjson's fuzzer (https://github.com/simdjson/simdjson, fuzz/), which runs all implementations on the same input.
"""
