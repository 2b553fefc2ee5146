// How many CPUs this process may use: fewer than the machine has, in a container or a batch job.
#pragma once

namespace fastnn {

struct CpuCount {
    int count;               // at least 1
    const char *decided_by;  // "affinity" or "cgroup quota", whichever is the tighter
};

CpuCount usable_cpus();

}  // namespace fastnn
