// The kernels for the CPU, found by name.
#include "all.cuh"

#include <cstdlib>
#include <cstring>

// A plain array, so that a program with this in it needs no C++ library.
static Entry entries[128];
static int count;

Register::Register(const char* name, Twin run, unsigned long size) {
    if (count == sizeof entries / sizeof *entries) std::abort();
    entries[count++] = {name, run, size};
}

// The kernel of that name, and the size of its parameters; null if there is none.
extern "C" Twin docreader_twin(const char* name, unsigned long* size) {
    for (int i = 0; i < count; i++) {
        const Entry& entry = entries[i];
        if (std::strcmp(entry.name, name) == 0) {
            *size = entry.size;
            return entry.run;
        }
    }
    return nullptr;
}
