// The kernels of losses.
#include "heads.h"
#include "lanes_losses.h"
#include "losses.h"
#include "prediction_losses.h"
#include "row_losses.h"

namespace {

template <class T, template <class> class L> T compute_elements(const Loss &loss, const LossRow<T> &r) {
    if constexpr (L<T>::may_be_focal)
        if (loss.n_parameters) return elementwise_loss<T, BinaryFocal>(r, T(loss.parameters[0]));
    return elementwise_loss<T, L>(r, T(loss.parameter));
}

template <class T, template <class> class L> constexpr LossKernels<T> loss_kernels() {
    LossKernels<T> kernels = {};
    kernels.takes_rows = L<T>::takes_rows;
    if constexpr (L<T>::takes_rows) {
        kernels.compute = L<T>::compute;
        if constexpr (std::is_same_v<L<T>, CrossEntropy<T>>) kernels.of_lanes = lane_cross_entropy<T>;
    } else {
        kernels.compute = compute_elements<T, L>;
        kernels.of_lanes = lane_elements<T, L>;
        if constexpr (L<T>::may_be_focal) kernels.focal_of_lanes = lane_elements<T, BinaryFocal>;
    }
    return kernels;
}

template <class T> T given_gradient(const Loss &, const LossRow<T> &r) { return elementwise_loss<T, GivenGradient>(r, T(0)); }

template <class T> constexpr Losses<T> own_losses() {
#define ROW(name, Struct) loss_kernels<T, Struct>(),
#define PREDICTION_ROW(name, Struct) sum_of_terms<T, Struct>,
    return {{FASTNN_LOSSES(ROW)}, given_gradient<T>, custom_loss<T>,
            custom_row_loss<T>,   evaluate_heads<T>, {FASTNN_PREDICTION_LOSSES(PREDICTION_ROW)}};
#undef PREDICTION_ROW
#undef ROW
}

}  // namespace

FASTNN_DEFINE_TABLE(Losses, losses, own_losses)
