// The training of networks.
#include "runs.h"
#include "tiny_training.h"
#include "training_loop.h"

namespace {

template <class T> int64_t bytes_of(Training &t) {
    return trains_tiny<T>(t) ? count_bytes<TinyTraining<T>>(t) : count_bytes<TrainingLoop<T>>(t);
}

template <class T> Status train_in(Training &t, void *workspace) {
    return trains_tiny<T>(t) ? run_in<TinyTraining<T>>(t, workspace) : run_in<TrainingLoop<T>>(t, workspace);
}

}  // namespace

namespace fastnn::FASTNN_ISA_NAME {

template <> int64_t Runs<float>::training_bytes(Training &t) { return bytes_of<float>(t); }
template <> int64_t Runs<double>::training_bytes(Training &t) { return bytes_of<double>(t); }
template <> Status Runs<float>::train(Training &t, void *workspace) { return train_in<float>(t, workspace); }
template <> Status Runs<double>::train(Training &t, void *workspace) { return train_in<double>(t, workspace); }

}  // namespace fastnn::FASTNN_ISA_NAME
