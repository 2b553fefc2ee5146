#include "cpu_count.h"

#include <algorithm>
#include <climits>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace fastnn {
namespace {

#if defined(__linux__)

// Rounds down: if threads that meet at barriers exceed the quota, all are stopped for the rest of each period.
int whole_cpus(double quota, double period) {
    if (!(quota > 0 && period > 0)) return INT_MAX;
    return int(std::clamp(quota / period, 1.0, double(INT_MAX)));
}

// The file has "max 100000" or "150000 100000": microseconds of CPU time, and of the period.
int quota_v2(const std::string &directory) {
    std::ifstream file(directory + "/cpu.max");
    double quota = 0, period = 0;
    return file >> quota >> period ? whole_cpus(quota, period) : INT_MAX;
}

// The same two numbers stand in two files. The quota is -1 if there is none.
int quota_v1(const std::string &directory) {
    std::ifstream quota_file(directory + "/cpu.cfs_quota_us"), period_file(directory + "/cpu.cfs_period_us");
    double quota = 0, period = 0;
    return quota_file >> quota && period_file >> period ? whole_cpus(quota, period) : INT_MAX;
}

// Every group up to the root limits the groups below it. In a container, the path can be the host's while the mount shows the
// container's own group as its root; the search towards the root finds it there.
template <class Quota> int tightest(const std::string &mount, std::string path, Quota quota) {
    int cpus = INT_MAX;
    for (;; path.resize(path.find_last_of('/'))) {
        while (!path.empty() && path.back() == '/') path.pop_back();
        cpus = std::min(cpus, quota(mount + path));
        if (path.empty() || path.find_last_of('/') == std::string::npos) return cpus;
    }
}

// Lines of /proc/self/cgroup are "number:controllers:path". Version 2 has one line, without controllers. root is a prefix of all
// paths.
int cgroup_cpus(const std::string &root) {
    int cpus = INT_MAX;
    std::ifstream file(root + "/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
        const std::string mounts = root + "/sys/fs/cgroup";
        if (controllers.empty()) cpus = std::min(cpus, tightest(mounts, path, quota_v2));
        std::istringstream names(controllers);
        for (std::string name; std::getline(names, name, ',');) {
            if (name != "cpu") continue;
            // The mount has the names of all controllers, in an order that may differ, with a link from each name; or one name
            // alone.
            for (const std::string &mount : {controllers, name})
                cpus = std::min(cpus, tightest(mounts + "/" + mount, path, quota_v1));
        }
    }
    return cpus;
}

int affinity_cpus() {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(CPU_COUNT(&set), 1);
    return std::max(int(std::thread::hardware_concurrency()), 1);  // there are more CPUs than the set has room for
}

#endif

}  // namespace

CpuCount usable_cpus([[maybe_unused]] const char *root) {
#if defined(__linux__)
    const int affinity = affinity_cpus();
    int quota = INT_MAX;
    try {
        quota = cgroup_cpus(root);
    } catch (...) {
        // If there is no memory for a path, the quota is unknown.
    }
    return quota < affinity ? CpuCount{quota, "cgroup quota"} : CpuCount{affinity, "affinity"};
#else
    return {std::max(int(std::thread::hardware_concurrency()), 1), "affinity"};
#endif
}

}  // namespace fastnn
