// Outputs of networks and of single layers.
#include "linear.h"
#include "predictor.h"
#include "runs.h"
#include "small_predictor.h"

namespace {

template <class T> int64_t bytes_of(const Prediction &call) {
    return SmallPredictor<T>::fits(call) ? count_bytes<SmallPredictor<T>>(call) : count_bytes<Predictor<T>>(call);
}

// Not inlined: the prediction of one row then needs no more than its own memory.
template <class T> __attribute__((noinline)) void predict_small(const Prediction &call, void *workspace) {
    run_in<SmallPredictor<T>>(call, workspace);
}

template <class T> void predict_in(const Prediction &call, void *workspace) {
    if (SmallPredictor<T>::fits(call)) predict_small<T>(call, workspace);
    else run_in<Predictor<T>>(call, workspace);
}

template <class T> void predict_all(const PredictionOfEach &call, void *workspace) {
    Arena arena(workspace);
    if (SmallPredictor<T>::fits(call.first)) SmallPredictor<T>(call.first, arena).run_each(call);
    else Predictor<T>(call.first, arena).run_each(call);
}

}  // namespace

FASTNN_DEFINE_RUN(linear_bytes, void, linear, LinearRun, const Linear)

namespace fastnn::FASTNN_ISA_NAME {
template <> int64_t Runs<float>::prediction_bytes(const Prediction &call) { return bytes_of<float>(call); }
template <> int64_t Runs<double>::prediction_bytes(const Prediction &call) { return bytes_of<double>(call); }
template <> void Runs<float>::predict(const Prediction &call, void *workspace) { predict_in<float>(call, workspace); }
template <> void Runs<double>::predict(const Prediction &call, void *workspace) { predict_in<double>(call, workspace); }
template <> void Runs<float>::predict_each(const PredictionOfEach &call, void *workspace) { predict_all<float>(call, workspace); }
template <> void Runs<double>::predict_each(const PredictionOfEach &call, void *workspace) { predict_all<double>(call, workspace); }
}  // namespace fastnn::FASTNN_ISA_NAME
