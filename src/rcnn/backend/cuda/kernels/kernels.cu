// The kernels for the GPU.
#include "all.cuh"
