# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The thin layer between NumPy and the kernels: it takes arrays and passes on pointers, and decides nothing.

The Python callers have checked the arguments. This layer checks once more that nothing is read or written out of bounds.
"""
cimport cython
cimport numpy as cnp
from cpython.list cimport PyList_AsTuple
from cpython.object cimport PyObject, Py_TYPE
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport int32_t, int64_t, intptr_t, uint64_t, uintptr_t
from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport INFINITY, isnan
from libc.string cimport memcpy, memset
from libcpp.vector cimport vector

from _kernels cimport *

import os
from math import prod
from weakref import WeakValueDictionary

import numpy as np

cnp.import_array()
cnp.import_ufunc()

# Each file uses names of earlier files alone.
include "_instruction_sets.pxi"
include "_threads.pxi"
include "_arrays.pxi"
include "_rows.pxi"
include "_ufuncs.pxi"
include "_elementwise.pxi"
include "_softmax.pxi"
include "_losses.pxi"
include "_metrics.pxi"
include "_optimizers.pxi"
include "_dense.pxi"
include "_layouts.pxi"
include "_network_parameters.pxi"
include "_network.pxi"
include "_run.pxi"
include "_stepper.pxi"
include "_many.pxi"
include "_quick.pxi"
include "_run_data.pxi"
include "_c_api.pxi"
include "_machine.pxi"
include "_dispatch.pxi"
