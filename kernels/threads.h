// A small pool of threads, which all instruction sets share. In a region, a fixed team of threads runs a task, and meets at
// barriers.
//
// It is not OpenMP, because a child of libgomp hangs after a fork, a region costs 11 us after 5 ms of idleness, and hundreds
// while another process holds the core, and every library in the process brings a runtime of its own. This pool costs a few
// tenths of a microsecond while it is warm, and nothing before its first use.
//
// No function here throws, and none is inline: the linker would merge a function that is compiled for several instruction sets.
#pragma once

#include <atomic>
#include <cstdint>

namespace fastnn {

constexpr int thread_limit = 1024;  // the maximal size of a team

// A barrier for the threads of one region: each calls wait() equally often, and none returns before all have called it.
class Barrier {
  public:
    explicit Barrier(int size);
    void wait();

  private:
    // The number of calls so far has a cache line of its own. The last thread makes it a multiple of size, and the others wait
    // for that one change.
    alignas(128) std::atomic<uint64_t> come_;
    alignas(128) const uint64_t size_;
};

// A thread's view of its region: 0 <= index < size.
struct Team {
    int index;
    int size;
    Barrier *barrier;

    // Waits for all threads of the region; each then sees everything that the others wrote before. A team of one returns at once.
    void wait() const;
};

// A task must not throw, fork, or wait for anything except its team.
using Task = void (*)(const Team &team, void *argument);

// Runs task on up to n_threads threads, including the caller, whose index is 0. Returns their number when all are done. The team
// has one thread if the call is nested, if another caller holds the pool, or if no thread can be started. max_threads() is a
// default rather than an upper bound on n_threads: the tests use more threads than CPUs.
int parallel(int n_threads, Task task, void *argument);

// Returns whether the CPUs were lately so busy that regions mostly waited: a call that chooses its threads then takes one.
// set_max_threads forgets it.
bool is_crowded();

// Returns FASTNN_NUM_THREADS if it is set; otherwise the number of CPUs that this process may use, or less if OMP_NUM_THREADS or
// OMP_THREAD_LIMIT are lower. All are read when the library is loaded. Setting less than 1 restores this default.
int max_threads();
void set_max_threads(int n);

// Returns the origin of max_threads(): "affinity", "cgroup quota", "set_num_threads", or the name of an environment variable.
const char *threads_decided_by();

// Returns the error in an environment variable, which is then ignored; nullptr without an error.
const char *threads_environment_error();

}  // namespace fastnn
