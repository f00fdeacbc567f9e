// The kernels for the CPU, found by name.
#include "all.cuh"

#include <cstring>
#include <vector>

static std::vector<Entry>& entries() {
    static std::vector<Entry> all;
    return all;
}

Register::Register(const char* name, Twin run, unsigned long size) { entries().push_back({name, run, size}); }

// The kernel of that name, and the size of its parameters; null if there is none.
extern "C" Twin docreader_twin(const char* name, unsigned long* size) {
    for (const Entry& entry : entries()) {
        if (std::strcmp(entry.name, name) == 0) {
            *size = entry.size;
            return entry.run;
        }
    }
    return nullptr;
}
