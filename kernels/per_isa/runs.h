// The functions of one instruction set that run whole calls, each in a file of its own.
#pragma once

#include "api.h"
#include "input_rows.h"
#include "isa_kernels.h"
#include "shared.h"

namespace fastnn::FASTNN_ISA_NAME {

template <class T> struct Runs {
    static int64_t prediction_bytes(const Prediction &call);
    static void predict(const Prediction &call, void *workspace);
    static void predict_each(const PredictionOfEach &call, void *workspace);
    static int64_t linear_bytes(const Linear &call);
    static void linear(const Linear &call, void *workspace);
    static int64_t gradient_bytes(Gradient &call);
    static void gradient(Gradient &call, void *workspace);
    static int64_t jacobian_bytes(const Jacobian &call);
    static void jacobian(const Jacobian &call, void *workspace);
    static int64_t training_bytes(Training &call);
    static Status train(Training &call, void *workspace);
};

template <class> using LaneTable = LaneKernels;

}  // namespace fastnn::FASTNN_ISA_NAME

FASTNN_DECLARE_TABLE(LaneTable, lane_kernels)

namespace {

// An object that is made without memory only counts the bytes that it needs.
template <class Run, class Call> int64_t count_bytes(Call &call) {
    Arena arena(nullptr);
    Run counted(call, arena);
    return arena.used();
}

template <class Run, class Call> auto run_in(Call &call, void *workspace) {
    Arena arena(workspace);
    return Run(call, arena).run();
}

}  // namespace

// Defines two functions of Runs for both dtypes, by objects of type Run<T>.
#define FASTNN_DEFINE_RUN(bytes, Result, run, Run, Call)        \
    namespace fastnn::FASTNN_ISA_NAME {                         \
    FASTNN_DEFINE_RUN_OF(float, bytes, Result, run, Run, Call)  \
    FASTNN_DEFINE_RUN_OF(double, bytes, Result, run, Run, Call) \
    }
#define FASTNN_DEFINE_RUN_OF(T, bytes, Result, run, Run, Call)                           \
    template <> int64_t Runs<T>::bytes(Call &call) { return count_bytes<Run<T>>(call); } \
    template <> Result Runs<T>::run(Call &call, void *workspace) { return run_in<Run<T>>(call, workspace); }
