#include "train_many.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <new>

#include "memory.h"
#include "threads.h"

namespace fastnn {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_until(Clock::time_point end) { return std::chrono::duration<double>(end - Clock::now()).count(); }

// ---- Groups: small networks of one shape, which one thread trains at the same time ----

constexpr int max_lanes = 16;

// Below this share of the lanes, members are faster one after the other.
constexpr int least_share = 4;

// The members in the order of their groups. Without memory, each is alone.
class Groups {
  public:
    Groups(Member *members, int64_t n, bool alone)
        : members_(members),
          n_(n),
          group_of_(new (std::nothrow) int64_t[size_t(n)]),
          sorted_(new (std::nothrow) int64_t[size_t(n)]),
          end_(new (std::nothrow) int64_t[size_t(n) + 1]) {
        if (alone || !group_of_ || !sorted_ || !end_) return;
        for (int64_t i = 0; i < n; i++) group_of_[i] = group_of(i);
        sort();
    }

    int64_t size() const { return sorted() ? n_groups_ : n_; }

    // Fills in the members of a group, and returns their number.
    int get(int64_t group, Member **members) const {
        if (!sorted()) return members[0] = members_ + group, 1;
        const int64_t begin = group ? end_[group - 1] : 0;
        for (int64_t i = begin; i < end_[group]; i++) members[i - begin] = members_ + sorted_[i];
        return int(end_[group] - begin);
    }

  private:
    // A group that has room. A member joins one of the last few that were opened, so that many shapes cost no more than a few.
    struct Open {
        int64_t group, like;  // like: a member of it
        int size;
    };
    static constexpr int n_open = 16;

    int64_t group_of(int64_t i) {
        const Member &own = members_[i];
        const LaneKernels &kernels = *own.kernels->lanes;
        if (!kernels.fits(*own.training)) return n_groups_++;
        for (Open &open : open_) {
            const Member &other = members_[open.like];
            if (open.size == 0 || open.size == kernels.lanes || other.kernels != own.kernels) continue;
            if (!kernels.same(*own.training, *other.training)) continue;
            open.size++;
            return open.group;
        }
        open_[oldest_++ % n_open] = {n_groups_, i, 1};
        return n_groups_++;
    }

    // Counts the members of each group, and sorts them by groups.
    void sort() {
        std::fill_n(end_.get(), n_groups_ + 1, 0);
        for (int64_t i = 0; i < n_; i++) end_[group_of_[i] + 1]++;
        for (int64_t g = 0; g < n_groups_; g++) end_[g + 1] += end_[g];
        for (int64_t i = 0; i < n_; i++) sorted_[end_[group_of_[i]]++] = i;
    }
    bool sorted() const { return n_groups_ > 0; }

    Member *const members_;
    const int64_t n_;
    int64_t n_groups_ = 0;
    std::unique_ptr<int64_t[]> group_of_, sorted_, end_;
    Open open_[n_open] = {};
    unsigned oldest_ = 0;
};

// ---- The work of a thread ----

struct Queue {
    const Groups &groups;
    const Clock::time_point end;
    std::atomic<int64_t> next{0};
};

// The pool is taken, so that more threads than one could not help the member. Its timings are not those of one that runs alone.
void train_alone(Member &member, double seconds) {
    Training &t = *member.training;
    const int n_threads = t.n_threads;
    ThreadTimings *const timings = t.timings;
    t.n_threads = 1, t.timings = nullptr, t.seconds = seconds;
    member.status = member.kernels->train(t, member.workspace);
    t.n_threads = n_threads, t.timings = timings;
}

// Returns false without memory; nothing else happens then.
bool train_side_by_side(Member *const *members, int n, double seconds) {
    const LaneKernels &kernels = *members[0]->kernels->lanes;
    Training *trainings[max_lanes];
    Status status[max_lanes];
    for (int i = 0; i < n; i++) {
        trainings[i] = members[i]->training;
        trainings[i]->seconds = seconds;
    }
    void *const workspace = allocate_zeros(kernels.bytes(*trainings[0]));
    if (!workspace) return false;
    kernels.train(trainings, status, n, workspace);
    free_zeros(workspace);
    for (int i = 0; i < n; i++) members[i]->status = status[i];
    return true;
}

void train_groups(const Team &, void *argument) {
    Queue &queue = *static_cast<Queue *>(argument);
    for (;;) {
        const int64_t group = queue.next.fetch_add(1, std::memory_order_relaxed);
        if (group >= queue.groups.size()) return;
        Member *members[max_lanes];
        const int n = queue.groups.get(group, members);
        double left = seconds_until(queue.end);
        if (left <= 0 && group > 0) return;  // one member at least makes progress
        if (n * least_share >= members[0]->kernels->lanes->lanes && n > 1 && train_side_by_side(members, n, left)) continue;
        for (int i = 0; i < n && (left > 0 || i == 0); i++, left = seconds_until(queue.end)) train_alone(*members[i], left);
    }
}

}  // namespace

void train_many(Member *members, int64_t n, int n_threads, double seconds) {
    for (int64_t i = 0; i < n; i++) members[i].status = Status::paused;
    const auto length = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    const Groups groups(members, n, n <= n_threads);
    Queue queue{groups, Clock::now() + length};
    parallel(int(std::min<int64_t>(n_threads, groups.size())), train_groups, &queue);
}

}  // namespace fastnn
