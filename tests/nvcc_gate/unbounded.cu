// A kernel that must be found by scripts/occupancy.py: it takes more registers than 1024 threads can have, and nothing
// says that it will have fewer threads.
__global__ void unbounded(const float* x, float* y) {
  float kept[80];
#pragma unroll
  for (int i = 0; i < 80; ++i) kept[i] = x[i * 32];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 80; ++i) y[i * 32] = kept[i] * kept[(7 * i + 3) % 80];
}
