#include "threads.h"

#include "cpu_count.h"
#include "crowd.h"

#include <algorithm>
#include <cerrno>
#include <cfenv>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <thread>

#include <pthread.h>
#include <sched.h>

namespace fastnn {
namespace {

// ---- Waiting ---------------------------------------------------------------------------------------------------

// The next message usually comes within a microsecond, so a thread spins first. Then it yields: the thread that it waits for may
// need this very CPU, and would otherwise get it only at the end of the system's time slice.
constexpr int pauses = 300;
// A worker without work stays awake for this time, and yields to any thread that needs the CPU. Waking it would cost 20 to 110
// us, and in virtual machines Linux wakes it on the caller's CPU, and moves it to an idle one only after some ms.
constexpr auto patience = std::chrono::milliseconds(1);

void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");  // waits a little, like pause; `yield` is a no-op on most cores
#endif
}

template <class Ready> bool spin(Ready ready) {
    for (int i = 0; i < pauses; i++) {
        if (ready()) return true;
        pause_cpu();
    }
    return ready();
}

using Clock = Crowd::Clock;

thread_local Clock::duration yielded{};  // the time for which this thread has yielded in the region

template <class Ready> void wait_for(Ready ready) {
    if (spin(ready)) return;
    const Clock::time_point start = Clock::now();
    while (!ready()) sched_yield();
    yielded += Clock::now() - start;
}

// Returns false if it was not ready within `patience`.
template <class Ready> bool wait_a_little(Ready ready) {
    if (spin(ready)) return true;
    const Clock::time_point end = Clock::now() + patience;
    while (!ready()) {
        if (Clock::now() > end) return false;
        sched_yield();
    }
    return true;
}

// ---- Workers ---------------------------------------------------------------------------------------------------

// The modes of rounding and of subnormal numbers. A worker takes over the caller's modes, so that all threads give the same bits
// even if another library has set them.
#if defined(__x86_64__)
using FloatMode = unsigned;  // fegetenv and fesetenv would also read and write the x87's state, for 70 ns each
FloatMode float_mode() { return __builtin_ia32_stmxcsr(); }
void set_float_mode(FloatMode mode) { __builtin_ia32_ldmxcsr(mode); }
#else
using FloatMode = std::fenv_t;
FloatMode float_mode() {
    FloatMode mode;
    std::fegetenv(&mode);
    return mode;
}
void set_float_mode(const FloatMode &mode) { std::fesetenv(&mode); }
#endif

// One call of parallel(). It lives on the caller's stack: no worker reads it after reporting that it is done.
struct Region {
    const int size;
    const Task task;
    void *const argument;
    const FloatMode mode;
    Barrier barrier;
};

thread_local bool inside = false;  // whether this thread runs a task

void run(const Team &team, Task task, void *argument) {
    const bool nested = inside;
    inside = true;
    task(team, argument);
    inside = nested;
}

// A worker is never freed: its thread sleeps on it until the process ends, also while static objects are being destroyed.
struct Worker {
    explicit Worker(int index) : index(index) {}

    const int index;
    // The mailbox has a cache line of its own: the caller puts a region in, and the worker takes it out when it is done.
    alignas(128) std::atomic<Region *> region{nullptr};
    std::atomic<bool> asleep{false};
    std::mutex mutex;
    std::condition_variable wake;

    void live() {
        for (;;) {
            const auto called = [this] { return region.load(std::memory_order_acquire) != nullptr; };
            if (!wait_a_little(called)) sleep();
            Region *const r = region.load(std::memory_order_acquire);
            set_float_mode(r->mode);
            run(Team{index, r->size, &r->barrier}, r->task, r->argument);
            region.store(nullptr, std::memory_order_release);
        }
    }

    // sleep() and call() both store first and then load, so that at least one of them sees the other's store: no call is missed.
    void sleep() {
        std::unique_lock<std::mutex> lock(mutex);
        asleep.store(true, std::memory_order_seq_cst);
        wake.wait(lock, [this] { return region.load(std::memory_order_seq_cst) != nullptr; });
        asleep.store(false, std::memory_order_relaxed);
    }
    // Returns whether the worker was awake.
    bool call(Region *r) {
        region.store(r, std::memory_order_seq_cst);
        if (!asleep.load(std::memory_order_seq_cst)) return true;
        std::lock_guard<std::mutex> lock(mutex);  // the worker holds it until it really sleeps
        wake.notify_one();
        return false;
    }

    void await() {
        wait_for([this] { return region.load(std::memory_order_acquire) == nullptr; });
    }
};

// ---- The pool --------------------------------------------------------------------------------------------------

// The pool is trivially destructible, so that it survives until the process ends.
struct Pool {
    std::atomic<bool> taken{false};  // the thread that sets it owns the rest
    int n_workers = 0;
    Worker *workers[thread_limit - 1] = {};
};

Pool pool;
Crowd crowd;

// Workers block all signals: if a handler ran on a worker, Ctrl-C would not interrupt a wait of the main thread.
bool start_worker(int index) {
    Worker *const worker = new (std::nothrow) Worker(index);
    if (!worker) return false;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    bool started = true;
    try {
        std::thread(&Worker::live, worker).detach();
    } catch (...) {
        started = false;
        delete worker;
    }
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    if (started) pool.workers[pool.n_workers++] = worker;
    return started;
}

// Threads do not survive a fork. The child starts without workers, even if another thread held the pool in the parent. It keeps
// the workers' objects, since a condition variable with sleepers must not be destroyed.
void forget_workers() {
    pool.n_workers = 0;
    pool.taken.store(false, std::memory_order_relaxed);
}

const int fork_handler = pthread_atfork(nullptr, nullptr, forget_workers);

// ---- The number of threads -------------------------------------------------------------------------------------

struct Default {
    int count;
    const char *decided_by;
    char error[160];  // empty without an error
};

// Returns the positive integer in an environment variable. If the variable is not set, or is wrong, it returns 0; the first wrong
// one sets the error. `ends` has the characters that may follow the number.
int environment_count(const char *name, const char *ends, Default &d) {
    const char *const text = std::getenv(name);
    if (!text || !*text) return 0;
    char *end = nullptr;
    errno = 0;
    const long n = std::strtol(text, &end, 10);
    if (n >= 1 && errno == 0 && (*end == '\0' || std::strchr(ends, *end))) return int(std::min(n, long(thread_limit)));
    if (!d.error[0]) std::snprintf(d.error, sizeof d.error, "%s must be a positive integer, got '%.100s'", name, text);
    return 0;
}

// joblib, Dask and Ray set OpenMP's variables for each of their workers, so that these don't compete for the CPUs. A list has one
// number per depth of nested regions; this library's regions are outermost (OpenMP 5.2, 21.1.2).
Default decide() {
    const CpuCount cpus = usable_cpus("");
    Default d{std::min(cpus.count, thread_limit), cpus.decided_by, ""};
    if (const int own = environment_count("FASTNN_NUM_THREADS", "", d)) {
        d.count = own;
        d.decided_by = "FASTNN_NUM_THREADS";
        return d;
    }
    for (const char *name : {"OMP_NUM_THREADS", "OMP_THREAD_LIMIT"}) {
        const int bound = environment_count(name, ", ", d);
        if (bound == 0 || bound >= d.count) continue;
        d.count = bound;
        d.decided_by = name;
    }
    return d;
}

const Default at_load = decide();
std::atomic<int> chosen{0};  // by set_max_threads; 0 stands for the default

}  // namespace

// ---- The interface ---------------------------------------------------------------------------------------------

Barrier::Barrier(int size) : come_(0), size_(uint64_t(size)) {}

void Barrier::wait() {
    const uint64_t before = come_.fetch_add(1, std::memory_order_acq_rel), all = (before / size_ + 1) * size_;
    if (before + 1 < all) wait_for([&] { return come_.load(std::memory_order_acquire) >= all; });
}

void Team::wait() const {
    if (size > 1) barrier->wait();
}

int parallel(int n_threads, Task task, void *argument) {
    if (n_threads > 1 && !inside && !pool.taken.exchange(true, std::memory_order_acquire)) {
        const int wanted = std::min(n_threads, thread_limit);
        bool awake = pool.n_workers >= wanted - 1;  // whether all workers are
        while (pool.n_workers < wanted - 1 && start_worker(pool.n_workers + 1)) {}
        const int size = std::min(wanted, pool.n_workers + 1);
        Region region{size, task, argument, float_mode(), Barrier(size)};
        const Clock::time_point start = Clock::now();
        yielded = {};
        for (int i = 0; i < size - 1; i++) awake &= pool.workers[i]->call(&region);
        run(Team{0, size, &region.barrier}, task, argument);
        for (int i = 0; i < size - 1; i++) pool.workers[i]->await();
        if (awake) crowd.learn(start, yielded);
        pool.taken.store(false, std::memory_order_release);
        return size;
    }
    Barrier alone(1);
    run(Team{0, 1, &alone}, task, argument);
    return 1;
}

bool is_crowded() { return crowd.is_there(); }

int max_threads() {
    const int n = chosen.load(std::memory_order_relaxed);
    return n ? n : at_load.count;
}

void set_max_threads(int n) {
    chosen.store(std::clamp(n, 0, thread_limit), std::memory_order_relaxed);
    crowd.forget();
}

const char *threads_decided_by() { return chosen.load(std::memory_order_relaxed) ? "set_num_threads" : at_load.decided_by; }

const char *threads_environment_error() { return at_load.error[0] ? at_load.error : nullptr; }

}  // namespace fastnn
