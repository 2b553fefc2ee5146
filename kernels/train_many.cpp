#include "train_many.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "threads.h"

namespace fastnn {
namespace {

using Clock = std::chrono::steady_clock;

struct Queue {
    Member *const members;
    const int64_t n;
    const Clock::time_point end;
    std::atomic<int64_t> next{0};
};

double seconds_until(Clock::time_point end) { return std::chrono::duration<double>(end - Clock::now()).count(); }

// The pool is taken, so that more threads than one could not help the member. Its timings are not those of one that runs alone.
void train_alone(Member &member, double seconds) {
    Training &t = *member.training;
    const int n_threads = t.n_threads;
    ThreadTimings *const timings = t.timings;
    t.n_threads = 1, t.timings = nullptr, t.seconds = seconds;
    member.status = member.kernels->train(t, member.workspace);
    t.n_threads = n_threads, t.timings = timings;
}

void train_members(const Team &, void *argument) {
    Queue &queue = *static_cast<Queue *>(argument);
    for (;;) {
        const int64_t i = queue.next.fetch_add(1, std::memory_order_relaxed);
        if (i >= queue.n) return;
        const double left = seconds_until(queue.end);
        if (left <= 0 && i > 0) return;  // one member at least makes progress
        train_alone(queue.members[i], left);
    }
}

}  // namespace

void train_many(Member *members, int64_t n, int n_threads, double seconds) {
    for (int64_t i = 0; i < n; i++) members[i].status = Status::paused;
    const auto length = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    Queue queue{members, n, Clock::now() + length};
    parallel(int(std::min<int64_t>(n_threads, n)), train_members, &queue);
}

}  // namespace fastnn
