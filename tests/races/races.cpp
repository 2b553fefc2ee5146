// What several threads of a program may do to the library at once, for ThreadSanitizer to watch. It needs no instruction set:
// the functions of dispatch.cpp that calls.cpp names are never called.
#include <cstdio>
#include <thread>
#include <vector>

#include "kernels/calls.h"
#include "kernels/per_isa/thread_tuner.h"
#include "kernels/isa_kernels.h"
#include "kernels/threads.h"

namespace fastnn {
const InstructionSet *instruction_set() { return nullptr; }
int64_t lay_out(Layer *, int64_t, int64_t, Embedding *, int64_t) { return 0; }
}  // namespace fastnn

namespace {

using namespace fastnn;

constexpr int rounds = 300;

template <class Body> void in_threads(int n, Body body) {
    std::vector<std::thread> threads;
    for (int i = 0; i < n; i++) threads.emplace_back([=] { body(i); });
    for (std::thread &thread : threads) thread.join();
}

// Runs of one network share its timings: while workspaces are counted, and while several train.
void share_timings() {
    ThreadTimings timings = {};
    in_threads(3, [&timings](int thread) {
        Training training = {};
        training.timings = &timings;
        training.n_threads = 1, training.max_threads = 3;
        for (int i = 0; i < rounds; i++) {
            training.batch_size = 1 + (i + thread) % 2;
            ThreadTuner counted(training), tuner(training);
            tuner.take_timings();
            for (int region = 0; region < 3; region++) {
                tuner.begin_region();
                tuner.count_step(training.batch_size);
                tuner.end_region(Clock::now());
            }
            tuner.release_timings();
        }
    });
}

// A region of several threads, as many as can be had, from several threads of the program.
void share_the_pool() {
    in_threads(3, [](int) {
        for (int i = 0; i < rounds; i++) {
            struct Sums { int64_t parts[3], total; } sums = {};
            parallel(3, [](const Team &team, void *argument) {
                Sums &s = *static_cast<Sums *>(argument);
                s.parts[team.index] = team.index + 1;
                team.wait();
                if (team.index == 0) s.total = s.parts[0] + s.parts[1] + s.parts[2];
            }, &sums);
        }
    });
}

// The workspace has room for max_threads, whenever set_max_threads() is called.
bool choose_while_the_limit_changes() {
    std::atomic<bool> done{false}, fits{true};
    in_threads(2, [&](int thread) {
        if (thread == 0)
            while (!done) set_max_threads(1), set_max_threads(8);
        for (int i = 0; thread == 1 && i < 100000; i++) {
            const Layer layer = {};
            Training training = {};
            training.network.layers = &layer;
            choose_threads(training, Type::float32, 0, 1e8);
            if (training.n_threads > training.max_threads) fits = false;
        }
        done = true;
    });
    return fits;
}

}  // namespace

int main() {
    share_timings();
    share_the_pool();
    if (choose_while_the_limit_changes()) return 0;
    std::puts("choose_threads: more threads than there is room for");
    return 1;
}
