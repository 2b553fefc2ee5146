// A small pool of threads, shared by every instruction set: regions in which a fixed team meets at barriers.
//
// Why not OpenMP: after a fork a child of libgomp hangs, a region costs 11 us after 5 ms of idleness and hundreds while
// another process holds the core, and every library in the process brings a runtime of its own. This one costs a few
// tenths of a microsecond while it is warm, and nothing at all before it is first used.
//
// Nothing here throws, and nothing is inline: the linker would merge a function that is compiled for several instruction sets.
#pragma once

#include <atomic>
#include <cstdint>

namespace fastnn {

constexpr int thread_limit = 1024;  // of a region

// For the threads of one region: each comes to wait() equally often, and none leaves before all have come.
class Barrier {
  public:
    explicit Barrier(int size);
    void wait();

  private:
    // All who have ever come, on a cache line of its own: who comes last makes the number a multiple of size, and that one
    // change is what the others wait for.
    alignas(128) std::atomic<uint64_t> come_;
    alignas(128) const uint64_t size_;
};

// What a thread knows of the region it is in: 0 <= index < size.
struct Team {
    int index;
    int size;
    Barrier *barrier;

    // All threads of the region meet; what any of them wrote before is seen by all after. A team of one returns at once.
    void wait() const;
};

// Must not throw, fork, or wait for anything but its team.
using Task = void (*)(const Team &team, void *argument);

// Runs task on up to n_threads threads, the caller among them (index 0), and returns how many ran it, when all are done.
// Serial (a team of one) when nested, when another caller holds the pool, or when no thread can be had. max_threads() is
// the default for callers without a wish, not a bound on n_threads: results are tested with more threads than CPUs.
int parallel(int n_threads, Task task, void *argument);

// FASTNN_NUM_THREADS if set, else the number of CPUs that this process may use, or less where OMP_NUM_THREADS or OMP_THREAD_LIMIT say
// so; all as they were when the library was loaded. Setting less than 1 returns to that default.
int max_threads();
void set_max_threads(int n);

// "affinity", "cgroup quota", "set_num_threads", or the name of an environment variable.
const char *threads_decided_by();

// What is wrong with an environment variable, which is ignored then; nullptr if nothing is.
const char *threads_environment_error();

}  // namespace fastnn
