// How many CPUs this process may use: fewer than the machine has, in a container or a batch job.
#pragma once

namespace fastnn {

struct CpuCount {
    int count;               // at least 1
    const char *decided_by;  // "affinity" or "cgroup quota", whichever is the tighter
};

// root is a prefix of the paths of /proc and /sys: "" but for tests.
CpuCount usable_cpus(const char *root);

}  // namespace fastnn
