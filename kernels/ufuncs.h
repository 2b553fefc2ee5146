// NumPy's inner loops (PyUFuncGenericFunction) for the elementwise functions. `data` is the function's number in registry.h.
#pragma once

#include <cstdint>

namespace fastnn {

void float16_loop(char **arrays, const intptr_t *n, const intptr_t *steps, void *data);
void float32_loop(char **arrays, const intptr_t *n, const intptr_t *steps, void *data);
void float64_loop(char **arrays, const intptr_t *n, const intptr_t *steps, void *data);

}  // namespace fastnn
