// The training of networks.
#include "runs.h"
#include "training_loop.h"

FASTNN_DEFINE_RUN(training_bytes, Status, train, TrainingLoop, Training)
