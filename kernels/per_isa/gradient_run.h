// The loss and the gradients of many rows.
#pragma once

#include <algorithm>

#include "pass.h"

namespace {

template <class T> class GradientRun {
  public:
    GradientRun(Gradient &call, Arena &arena)
        : call_(call),
          pass_(call.network, call.parameters, call.loss, {call.x, call.y, call.sample_weight}, call.n_rows, call.n_threads,
                needs(call), arena),
          inputs_(call.input_gradient ? arena.take<T>(call.network.passed_rows(std::min(call.n_rows, call.network.rows_at_once())) *
                                                      padded<T>(n_in()))
                                      : nullptr) {}

    void run() {
        parallel(call_.n_threads, [](const Team &team, void *self) { static_cast<GradientRun *>(self)->run(team); }, this);
    }

  private:
    static Needs needs(const Gradient &call) {
        Needs needs = {call.gradient != nullptr, call.input_gradient != nullptr};
        needs.rows_to_share = rows_to_share(call.network, call.n_rows, call.n_threads);
        return needs;
    }

    int64_t n_in() const { return call_.network.n_in(); }

    void run(const Team &team) {
        PassMemory<T> memory = pass_.join(team);
        const double loss_before = call_.sum;
        if (pass_.layers().needs().any()) pass_.layers().transpose_weights(team);
        team.wait();
        Batch batch = {call_.order, call_.first, call_.n_rows};
        pass_.weigh(batch, memory);
        if (call_.end > 0) batch = batch.chunk(call_.begin, call_.end - call_.begin);
        const auto collect = [&](const ChunkGradients<T> &gradients, int64_t n_rows, int64_t first) {
            if (call_.gradient) accumulate(gradients, team, call_.begin + first > 0);
            if (call_.outputs) store_outputs(n_rows, first, team);
            if (!call_.input_gradient) return;
            if (call_.network.n_members() > 1) return add_input_gradients(gradients, n_rows, first, team);
            copy_input_gradient(gradients, n_rows, first, team);
        };
        const Dropout dropout = {call_.dropout_key, 0, call_.dropout_factor};
        const double loss = pass_.run(memory, team, batch, dropout, [](const Entries<T> &) {}, collect, loss_before);
        if (team.index > 0) return;
        call_.sum = loss, call_.value = loss * call_.loss.value_factor, call_.weight = batch.weight;
    }

    // Stores the predictions for the thread's share of a chunk, whose outputs may have stayed logits.
    void store_outputs(int64_t n_rows, int64_t first, const Team &team) const {
        const int64_t n_members = call_.network.n_members();
        const Layer &last = call_.network.last();
        const ActivationKernels<T> &activation = all_activations<T>[last.activation];
        const Range rows = share(n_rows / n_members, row_group, team);
        T *const out = pass_.layers().last_buffers().out;
        if (pass_.layers().has_logits() && !activation.is_identity)
            activation.value(out + rows.begin * n_members * last.row, rows.size() * n_members, last.n_out, last.row);
        add_members(n_members, rows, out, last.row, last.n_out, T(n_members), first / n_members, static_cast<T *>(call_.outputs));
    }

    void accumulate(const ChunkGradients<T> &gradients, const Team &team, bool add) const {
        T *storage = static_cast<T *>(call_.gradient);
        for_each_block(call_.network, [&](int64_t l, const Layer &layer, const Block &block) {
            for_each_part<T>(own_rows_of<T>(l, layer, block, team), block.rows, [&](const BlockPart &part) {
                if (add) gradients.add(part, storage + block.offset);
                else gradients.compute(part, storage + block.offset);
            });
        });
    }

    // Threads that share a layer's outputs share the inputs, too: few rows would keep one thread busy.
    void copy_input_gradient(const ChunkGradients<T> &gradients, int64_t n_rows, int64_t first, const Team &team) const {
        const bool by_columns = pass_.layers().splits_outputs(0, team) && gradients.has_plain_inputs();
        const Range rows = by_columns ? Range{0, n_rows} : share(n_rows, row_group, team);
        const Range columns = by_columns ? share(n_in(), panel_columns<T>, team) : Range{0, n_in()};
        const int64_t row = padded<T>(n_in());
        if (by_columns) gradients.by_columns(columns, inputs_, row);
        else gradients.by_input(rows, inputs_, row);
        for (int64_t i = rows.begin; i < rows.end; i++)
            std::memcpy(static_cast<T *>(call_.input_gradient) + (first + i) * n_in() + columns.begin,
                        inputs_ + i * row + columns.begin, size_t(columns.size()) * sizeof(T));
    }

    // The gradient by a row of X is the sum of those by the members' copies of it.
    void add_input_gradients(const ChunkGradients<T> &gradients, int64_t n_rows, int64_t first, const Team &team) const {
        const int64_t row = padded<T>(n_in()), n_members = call_.network.n_members();
        gradients.by_input(share(n_rows, row_group, team), inputs_, row);
        team.wait();
        add_members(n_members, share(n_rows / n_members, 1, team), inputs_, row, n_in(), T(1), first / n_members,
                    static_cast<T *>(call_.input_gradient));
    }

    Gradient &call_;
    const Pass<T> pass_;
    T *const inputs_;
};

}  // namespace
