// Outputs of networks and of single layers.
#include "linear.h"
#include "predictor.h"
#include "runs.h"

namespace {

template <class T> void predict_all(const PredictionOfEach &call, void *workspace) {
    Arena arena(workspace);
    Predictor<T>(call.first, arena).run_each(call);
}

}  // namespace

FASTNN_DEFINE_RUN(prediction_bytes, void, predict, Predictor, const Prediction)
FASTNN_DEFINE_RUN(linear_bytes, void, linear, LinearRun, const Linear)

namespace fastnn::FASTNN_ISA_NAME {
template <> void Runs<float>::predict_each(const PredictionOfEach &call, void *workspace) { predict_all<float>(call, workspace); }
template <> void Runs<double>::predict_each(const PredictionOfEach &call, void *workspace) { predict_all<double>(call, workspace); }
}  // namespace fastnn::FASTNN_ISA_NAME
