// A batch's pass through a network: forward, loss, and back to the gradients, chunk by chunk.
//
// Each step of a pass takes what the step before returns, so that no other order is possible:
//   Pass            fixed for a run, shared by its threads;
//   PassMemory      a thread's own memory, from one batch to the next: Pass::join returns it;
//   ChunkGradients  the gradients of a chunk: Pass::run hands them out after the chunk's passes forward and back. Those of the last
//                   chunk stay in the memory.
#pragma once

#include <algorithm>

#include "gradients.h"
#include "loss_rows.h"

namespace {

// Returns the rows of a strip. A strip passes through all layers, and back, before the next one, so that the outputs of each layer
// are still in the first cache. Each strip reads all weights, forward and transposed. If both take more than two thirds of the
// second cache, the strip is a whole chunk.
template <class T> int64_t strip_rows(const Network &network) {
    return network.size * int64_t(sizeof(T)) <= fastnn::second_cache_bytes() / 3 ? 2 * row_group : chunk_rows;
}

// Returns the rows of the first chunk of a batch if several threads may share them; 0 otherwise.
inline int64_t rows_to_share(const Network &network, int64_t batch_size, int n_threads) {
    if (n_threads == 1 || network.layers[0].scales_members) return 0;
    return network.passed_rows(std::min(batch_size, network.rows_at_once()));
}

template <class T> struct PassMemory {
    Entries<T> entries;  // of the chunk in hand
    Scaled scaled;
    T *packing;
    double *head_ratios;               // of the batch in hand
    int64_t *member_rows;              // of the chunk in hand, of a shared ensemble
    ChunkGradients<T> gradients = {};  // of the last chunk
};

// The data of a run.
struct PassData {
    const Rows &x, &y;
    const double *sample_weight;
};

template <class T> class Pass {
  public:
    // rows: of the largest batch. If the arena has no memory, the object only counts the bytes that it needs.
    Pass(const Network &network, const void *parameters, const Loss &loss, const PassData &data, int64_t rows, int n_threads,
         Needs needs, Arena &arena)
        : network_(network),
          loss_(loss),
          data_(data),
          entries_(needs.weight_gradient && data.x.sparse() ? data.x.max_entries : 0, n_threads, arena),
          layers_(network, parameters, data.x, chunk_size(network.passed_rows(rows)), needs, &loss, arena),
          loss_rows_(network, loss, data.y, chunk_size(network.passed_rows(rows)), arena),
          batch_weights_(loss, data.y, data.sample_weight, network.last().n_out),
          packing_(network, network.passed_rows(rows), needs.any(), n_threads, arena),
          strip_rows_(strip_rows<T>(network)),
          head_ratios_(arena.take<double>(n_threads * loss.n_heads)),
          most_rows_(network.passed_rows(network.rows_at_once())),
          member_rows_(arena.take<int64_t>(network.n_members() > 1 ? n_threads * chunk_rows : 0)) {}

    const Layers<T> &layers() const { return layers_; }

    PassMemory<T> join(const Team &team) const {
        return {entries_.of_thread(team.index, own_features(team)), Scaled(), packing_.of_thread(team.index),
                head_ratios_ + team.index * loss_.n_heads,
                network_.n_members() > 1 ? member_rows_ + team.index * chunk_rows : nullptr};
    }

    // Sets a batch's weights, unless all are 1, and the ratios of the heads in the thread's memory.
    void weigh(Batch &batch, const PassMemory<T> &memory) const {
        batch_weights_.weigh(batch);
        if (loss_.heads) set_head_ratios(loss_, data_.y, data_.sample_weight, batch, memory.head_ratios);
    }

    // Runs a weighed batch forward, and back if gradients are needed, by all threads of a team together. All return `loss` plus the
    // batch's loss, before it is multiplied by value_factor. The loss of a batch without weight is 0. For each chunk, run calls
    // prepare(entries) when its rows have been read, and collect(gradients, n_rows, first) when its deltas are computed; `first` is
    // the place of its first row in the batch. Of a shared ensemble, the rows of a chunk are those of all members, and the loss is the
    // mean of the members' losses.
    template <class Prepare, class Collect>
    double run(PassMemory<T> &memory, const Team &team, const Batch &batch, const Dropout &of_batch, Prepare prepare,
               Collect collect, double loss = 0) const {
        const int64_t n_members = network_.n_members(), n_rows = network_.passed_rows(batch.size);
        const double factor = mean_factor(batch.weight, network_, loss_) / double(n_members);
        if (team.size > 1) prefetch_weights(layers_, data_.x.sparse(), team);
        for (int64_t first = 0; first < n_rows; first += most_rows_) {
            const int64_t left = n_rows - first, count = left < most_rows_ ? left : most_rows_;
            const Batch chunk =
                n_members == 1 ? batch.chunk(first, count) : repeat_rows(batch, n_members, first, count, memory.member_rows);
            const Range rows = share(chunk.size, row_group, team);
            const Dropout dropout = {of_batch.key, first, of_batch.factor};
            if (data_.x.sparse() && layers_.needs().weight_gradient) gather(memory.entries, chunk, dropout);
            const InputRows<T> input =
                batch.any_counts() ? run_rows(memory, team, chunk, rows, factor, dropout, prepare) : clear_rows(chunk, rows);
            team.wait();
            if (data_.x.sparse() && layers_.has_scale_gradient()) pass_sparse_inputs_back(memory, team);
            loss += loss_rows_.sum(chunk.size);
            memory.gradients = ChunkGradients<T>(layers_, memory.entries, input, chunk.size, memory.packing);
            collect(memory.gradients, chunk.size, first);
            if (left > most_rows_) team.wait();
        }
        return loss;
    }

  private:
    static int64_t chunk_size(int64_t rows) { return round_up(rows < chunk_rows ? rows : chunk_rows, row_group); }

    // The features whose weights a thread owns: rows of the first layer's weights, or all if they are stored by outputs.
    Range own_features(const Team &team) const {
        const Layer &first = network_.layers[0];
        return first.narrow ? Range{0, first.n_in} : own_rows<T>(first, first.weights(), team);
    }

    // The chunk's rows, of which `rows` are the thread's. Strips begin after the last layer whose outputs are split.
    template <class Prepare>
    InputRows<T> run_rows(PassMemory<T> &memory, const Team &team, const Batch &chunk, Range rows, double factor,
                          const Dropout &dropout, Prepare prepare) const {
        const Input<T> input = layers_.read(data_.x, chunk, rows, dropout);
        const Targets<T> targets = loss_rows_.read(factor, data_.sample_weight, chunk, rows, memory.scaled);
        prepare(memory.entries);
        const int64_t n_together = n_shared(layers_, team);
        if (n_together > 0) forward_together(layers_, n_together, input, {0, chunk.size}, rows, dropout, team, memory.packing);
        for (int64_t i = rows.begin; i < rows.end; i += strip_rows_) {
            const Range strip = {i, rows.end - i < strip_rows_ ? rows.end : i + strip_rows_};
            const bool finite = !chunk.checks_numbers || has_finite_numbers(input, targets, strip);
            forward(layers_, n_together, input, strip, dropout, memory.packing);
            const LayerBuffers<T> &last = layers_.last_buffers();
            loss_rows_.compute(last.out, targets, memory.head_ratios, last.delta, strip);
            if (!finite) loss_rows_.spoil(i);
            if (layers_.needs().any()) backward(layers_, n_together, strip, memory.packing);
        }
        if (n_together > 0 && layers_.needs().any())
            backward_together(layers_, n_together, {0, chunk.size}, rows, team, memory.packing);
        const bool in_panels = layers_.in_panels(0, team);
        const bool reaches_stage = network_.stage && layers_.needs().any() && layers_.needs().first_layer == 0;
        if (reaches_stage) layers_.pass_back_to_stage(rows, dropout, memory.packing, in_panels);
        else if (layers_.has_scale_gradient() && !data_.x.sparse()) layers_.pass_inputs_back(rows, memory.packing, in_panels);
        return input;
    }

    // Just before they are read anyway, which then finds them in the caches.
    __attribute__((noinline)) bool has_finite_numbers(const Input<T> &input, const Targets<T> &targets, Range rows) const {
        return rows_finite(input.dense + rows.begin * input.row, input.row, rows.size(), network_.layers[0].n_in) &&
               loss_rows_.has_finite(targets, rows);
    }

    // Gathers the entries of a chunk. Their values are those after dropout, and before scales.
    __attribute__((noinline)) void gather(Entries<T> &entries, const Batch &chunk, const Dropout &dropout) const {
        entries.gather(data_.x, chunk);
        const Layer &first = network_.layers[0];
        if (!dropout.key || !(first.input_dropout > 0)) return;
        const DroppedInput<T> dropped(layers_.changed_inputs().factors(dropout), first.n_in);
        entries.change_values([&](int64_t i, int64_t k, T value) { return dropped(i, k, value); });
    }

    // All threads wait, since the weights change next. If a thread's entries have all columns, the first thread adds up the columns.
    __attribute__((noinline)) void pass_sparse_inputs_back(PassMemory<T> &memory, const Team &team) const {
        const Layer &first = network_.layers[0];
        const Range own = first.narrow && team.index > 0 ? Range{0, 0} : own_features(team);
        layers_.changed_inputs().finish_sparse(memory.entries, own, layers_.buffers(0).delta, layers_.weights(first));
        team.wait();
    }

    __attribute__((noinline)) InputRows<T> clear_rows(const Batch &chunk, Range rows) const {
        loss_rows_.clear(rows);
        return layers_.clear(data_.x, chunk, rows);
    }

    const Network &network_;
    const Loss &loss_;
    const PassData data_;
    const Entries<T> entries_;  // memory for all threads
    const Layers<T> layers_;
    const LossRows<T> loss_rows_;
    const BatchWeights batch_weights_;
    const Packing<T> packing_;  // memory of all threads
    const int64_t strip_rows_;
    double *const head_ratios_;   // of all threads
    const int64_t most_rows_;     // of a chunk
    int64_t *const member_rows_;  // of all threads; null unless the network is a shared ensemble
};

}  // namespace
