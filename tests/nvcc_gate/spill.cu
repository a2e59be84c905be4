// A kernel that needs more registers than its block size leaves: the build must refuse it (cmake/nvcc_gate.sh).
__global__ void __launch_bounds__(1024) spill(float* x, int n) {
  float a[200];
#pragma unroll
  for (int i = 0; i < 200; ++i) a[i] = x[i * n + threadIdx.x];
  for (int j = 0; j < n; ++j)
#pragma unroll
    for (int i = 0; i < 200; ++i) a[i] = a[i] * a[(i + 7) % 200] + x[j];
#pragma unroll
  for (int i = 0; i < 200; ++i) x[i * n + threadIdx.x] = a[i];
}
