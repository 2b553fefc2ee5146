// The number of CPUs that this process may use. In a container or a batch job, it is less than the machine has.
#pragma once

namespace fastnn {

struct CpuCount {
    int count;               // at least 1
    const char *decided_by;  // "affinity" or "cgroup quota", whichever is the lower
};

// root is a prefix of the paths of /proc and /sys; it is "" except in tests.
CpuCount usable_cpus(const char *root);

}  // namespace fastnn
