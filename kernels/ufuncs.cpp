// The loops that NumPy calls for arrays: with any strides, half precision computed as float, and several threads for long arrays.
#include "ufuncs.h"

#include <cfenv>
#include <cstring>

#include "half.h"
#include "isa_kernels.h"
#include "threads.h"

namespace fastnn {
namespace {

// The number of bytes per thread: for less, waking a thread costs more than its work.
constexpr int64_t bytes_per_thread = 1 << 19;
constexpr int64_t segment = 512;  // elements that are gathered at a time

// Clears the exceptions that the kernels raise. They say nothing about the results; infinities and NaN pass without a warning,
// too.
class QuietExceptions {
  public:
    QuietExceptions() : before_(std::fetestexcept(reported)) {}
    ~QuietExceptions() {
        const int raised = std::fetestexcept(reported) & ~before_;
        if (raised) std::feclearexcept(raised);
    }

  private:
    static constexpr int reported = FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW | FE_INVALID;
    const int before_;
};

template <class T> const Kernels &kernels() { return kernels_of(sizeof(T) == sizeof(float) ? Type::float32 : Type::float64); }

template <class T> struct Call {
    int32_t function;
    const T *x;
    T *y;
    int64_t n;
};

// Returns whether x and y overlap, but not element by element. NumPy passes such arrays if one loop, from the first element to
// the last, reads each x before y overwrites it. A divided loop would not do so.
template <class T> bool shifted(const Call<T> &call) {
    const auto x = reinterpret_cast<uintptr_t>(call.x), y = reinterpret_cast<uintptr_t>(call.y);
    return x != y && (x < y ? y - x : x - y) < uintptr_t(call.n) * sizeof(T);
}

template <class T> void evaluate(const Call<T> &call) {
    const int64_t wanted = call.n * int64_t(sizeof(T)) / bytes_per_thread;
    if (wanted < 2 || shifted(call)) return kernels<T>().function(call.function, call.x, call.y, call.n);
    const int threads = wanted < max_threads() ? int(wanted) : max_threads();
    parallel(
        threads,
        [](const Team &team, void *argument) {
            const Call<T> &c = *static_cast<const Call<T> *>(argument);
            const int64_t lines = c.n / 64, begin = lines * team.index / team.size * 64;
            const int64_t end = team.index + 1 == team.size ? c.n : lines * (team.index + 1) / team.size * 64;
            kernels<T>().function(c.function, c.x + begin, c.y + begin, end - begin);
        },
        const_cast<Call<T> *>(&call));
}

// The form of elements in an array, and their type in the kernels.
template <class T> struct Plain {
    typedef T Element;
    static T read(const char *from) {
        T x;
        std::memcpy(&x, from, sizeof x);
        return x;
    }
    static void write(char *to, T y) { std::memcpy(to, &y, sizeof y); }
};
struct Half {
    typedef float Element;
    static float read(const char *from) { return half_to_float(Plain<uint16_t>::read(from)); }
    static void write(char *to, float y) { Plain<uint16_t>::write(to, float_to_half(y)); }
};

template <class Stored> void in_segments(int32_t function, const char *x, intptr_t x_step, char *y, intptr_t y_step, int64_t n) {
    typedef typename Stored::Element T;
    T buffer[segment];
    for (int64_t i = 0; i < n; i += segment) {
        const int64_t count = n - i < segment ? n - i : segment;
        for (int64_t j = 0; j < count; j++) buffer[j] = Stored::read(x + (i + j) * x_step);
        kernels<T>().function(function, buffer, buffer, count);
        for (int64_t j = 0; j < count; j++) Stored::write(y + (i + j) * y_step, buffer[j]);
    }
}

int32_t function_of(void *data) { return int32_t(reinterpret_cast<intptr_t>(data)); }

template <class T> void loop(char **arrays, const intptr_t *n, const intptr_t *steps, void *data) {
    const QuietExceptions quiet;
    if (steps[0] == sizeof(T) && steps[1] == sizeof(T))
        evaluate<T>({function_of(data), reinterpret_cast<const T *>(arrays[0]), reinterpret_cast<T *>(arrays[1]), *n});
    else in_segments<Plain<T>>(function_of(data), arrays[0], steps[0], arrays[1], steps[1], *n);
}

}  // namespace

void float16_loop(char **arrays, const intptr_t *n, const intptr_t *steps, void *data) {
    const QuietExceptions quiet;
    in_segments<Half>(function_of(data), arrays[0], steps[0], arrays[1], steps[1], *n);
}
void float32_loop(char **arrays, const intptr_t *n, const intptr_t *steps, void *data) { loop<float>(arrays, n, steps, data); }
void float64_loop(char **arrays, const intptr_t *n, const intptr_t *steps, void *data) { loop<double>(arrays, n, steps, data); }

}  // namespace fastnn
