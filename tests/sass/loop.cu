// What tests/check_sass.py knows the answers of: loops, their lines, products and widths of loads. loop.sm_80.cubin and
// loop.sm_90a.cubin are made of it by
//   nvcc -cubin -arch=sm_80 -lineinfo loop.cu -o loop.sm_80.cubin
extern "C" __global__ void loop(const unsigned char* from, float* to, int rounds, int inner) {
  float d[4] = {};
#pragma unroll 1
  for (int i = 0; i < rounds; ++i) {
    int seen = 0;
#pragma unroll 1
    for (int j = 0; j < inner; ++j) {  // main loop
      unsigned a, b, c, e, f;
      asm volatile("ld.global.v4.u32 {%0,%1,%2,%3},[%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(e) : "l"(from + 16 * j));
      asm volatile("ld.global.u32 %0,[%1];" : "=r"(f) : "l"(from + 4 * j));
      for (int k = 0; k < 3; ++k)
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(a), "r"(b), "r"(c), "r"(e), "r"(f), "r"(a));
      if (f == threadIdx.x)  // threads part, some of them into a loop
#pragma unroll 1
        for (unsigned k = f; k < a; k += c) asm volatile("st.global.u32 [%0],%1;" ::"l"(to + k), "r"(seen += a) : "memory");
    }
    to[i] = d[0] + d[1] + d[2] + d[3];
  }
}

extern "C" __global__ void straight(float* to) { to[threadIdx.x] = 1.0f; }
