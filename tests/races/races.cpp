// Calls that several threads of a program may make at once, for ThreadSanitizer. The program needs no instruction set: the
// functions of dispatch.cpp to which calls.cpp refers are never called.
#include <cstdio>
#include <thread>
#include <vector>

#include "kernels/calls.h"
#include "kernels/per_isa/thread_tuner.h"
#include "kernels/isa_kernels.h"
#include "kernels/threads.h"

namespace fastnn {
const InstructionSet *instruction_set() { return nullptr; }
int64_t lay_out(Layer *, int64_t, int64_t) { return 0; }
}  // namespace fastnn

namespace {

using namespace fastnn;

constexpr int rounds = 300;

template <class Body> void in_threads(int n, Body body) {
    std::vector<std::thread> threads;
    for (int i = 0; i < n; i++) threads.emplace_back([=] { body(i); });
    for (std::thread &thread : threads) thread.join();
}

// Runs of one network share its pace, while workspaces are counted and while several runs train.
void share_a_pace() {
    Pace pace = {};
    in_threads(3, [&pace](int thread) {
        Training training = {};
        training.pace = &pace;
        training.n_threads = 1, training.most_threads = 3;
        for (int i = 0; i < rounds; i++) {
            training.batch_size = 1 + (i + thread) % 2;
            Pacer counted(training, false), pacer(training, false);
            pacer.take_pace();
            for (int lap = 0; lap < 3; lap++) {
                pacer.begin_lap();
                pacer.count_step(training.batch_size);
                pacer.end_lap(Clock::now());
            }
            pacer.release_pace();
        }
    });
}

// Regions of as many threads as allowed, started by several threads of the program at once.
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

// The workspace has room for most_threads, even if set_max_threads() is called meanwhile.
bool choose_while_the_limit_changes() {
    std::atomic<bool> done{false}, fits{true};
    in_threads(2, [&](int thread) {
        if (thread == 0)
            while (!done) set_max_threads(1), set_max_threads(8);
        for (int i = 0; thread == 1 && i < 100000; i++) {
            Training training = {};
            Pace pace = {};
            choose_threads(training, 0, 1e8, &pace);
            if (training.n_threads > training.most_threads) fits = false;
        }
        done = true;
    });
    return fits;
}

}  // namespace

int main() {
    share_a_pace();
    share_the_pool();
    if (choose_while_the_limit_changes()) return 0;
    std::puts("choose_threads: more threads than there is room for");
    return 1;
}
