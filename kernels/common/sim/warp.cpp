#include "kernels/common/sim/warp.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/common/sim/multiprocessor.hpp"
#include "kernels/common/sim/sanitizers.hpp"

namespace akin::sim {

namespace {

struct ShuffleRecord {
  std::uint64_t value;
  unsigned source;
  bool answered;
};
struct VoteRecord {
  bool yes;
  Vote result;
};
template <class Operand, class Sum>
struct MmaRecordOf {
  Sum* d;
  const Operand *a, *b;
  const Sum* c;
};
using MmaRecord = MmaRecordOf<std::uint32_t, float>;
using MmaRecordF64 = MmaRecordOf<double, double>;
struct LdmatrixRecord {
  std::uint32_t* registers;
  MatrixRow row;
  int matrices;
  bool transpose;
};

constexpr bool aligned_op(Op op) {
  return op == Op::mma_bf16 || op == Op::mma_tf32 || op == Op::mma_f64 || op == Op::ldmatrix;
}

template <class Record>
Record& record(Lane* warp, int lane) {
  return *static_cast<Record*>(warp[lane].record);
}

template <class F>
void for_each_lane(unsigned lanes, F&& f) {
  for (; lanes != 0; lanes &= lanes - 1) f(std::countr_zero(lanes));
}

void do_shuffle(Lane* warp, unsigned arrived) {
  std::uint64_t values[32];
  for_each_lane(arrived, [&](int i) { values[i] = record<ShuffleRecord>(warp, i).value; });
  for_each_lane(arrived, [&](int i) {
    auto& r = record<ShuffleRecord>(warp, i);
    r.answered = (arrived >> r.source & 1) != 0;
    if (r.answered) r.value = values[r.source];
  });
}

void do_vote(Lane* warp, unsigned arrived) {
  Vote result{0, arrived};
  for_each_lane(arrived, [&](int i) { result.yes |= unsigned{record<VoteRecord>(warp, i).yes} << i; });
  for_each_lane(arrived, [&](int i) { record<VoteRecord>(warp, i).result = result; });
}

/// The rows and columns of a lane's four values of the 16 x 8 matrices c and d.
constexpr int row_of_sum(int lane, int i) { return lane / 4 + (i >= 2 ? 8 : 0); }
constexpr int column_of_sum(int lane, int i) { return lane % 4 * 2 + i % 2; }

template <class Record, int K, class Sum>
void multiply(Lane* warp, const Sum (&a)[16][K], const Sum (&b)[K][8]) {
  Sum d[16][8];
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) d[row_of_sum(lane, i)][column_of_sum(lane, i)] = record<Record>(warp, lane).c[i];
  for (int row = 0; row < 16; ++row)
    for (int k = 0; k < K; ++k)
      for (int column = 0; column < 8; ++column) {
        if constexpr (std::is_same_v<Sum, double>)
          d[row][column] = std::fma(a[row][k], b[k][column], d[row][column]);
        else
          d[row][column] += a[row][k] * b[k][column];
      }
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) record<Record>(warp, lane).d[i] = d[row_of_sum(lane, i)][column_of_sum(lane, i)];
}

/// PTX ISA, "Matrix fragments for mma.m16n8k16 with floating point type": two bf16 in a register, the lower half first.
void do_mma_bf16(Lane* warp) {
  const auto value = [](std::uint32_t pair, int upper) {
    return std::bit_cast<float>(upper != 0 ? pair & 0xffff0000u : pair << 16);
  };
  float a[16][16], b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& r = record<MmaRecord>(warp, lane);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 8; ++i) a[g + (i / 2 % 2) * 8][t * 2 + i % 2 + (i >= 4 ? 8 : 0)] = value(r.a[i / 2], i % 2);
    for (int i = 0; i < 4; ++i) b[t * 2 + i % 2 + (i >= 2 ? 8 : 0)][g] = value(r.b[i / 2], i % 2);
  }
  multiply<MmaRecord>(warp, a, b);
}

/// PTX ISA, "Matrix fragments for mma.m16n8k8", .tf32 and .f64: one value in a register.
template <class Record, class Sum, class Value>
void do_mma_m16n8k8(Lane* warp, Value&& value) {
  Sum a[16][8], b[8][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& r = record<Record>(warp, lane);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) a[g + i % 2 * 8][t + i / 2 * 4] = value(r.a[i]);
    for (int i = 0; i < 2; ++i) b[t + i * 4][g] = value(r.b[i]);
  }
  multiply<Record>(warp, a, b);
}

void do_mma_tf32(Lane* warp) {  // the lower 13 bits are ignored
  do_mma_m16n8k8<MmaRecord, float>(warp, [](std::uint32_t bits) { return std::bit_cast<float>(bits & ~0x1fffu); });
}

void do_mma_f64(Lane* warp) {
  do_mma_m16n8k8<MmaRecordF64, double>(warp, [](double v) { return v; });
}

/// Lane 8 m + r brings row r of matrix m; lane l receives of each matrix the elements (l / 4, 2 (l % 4)) and the one to
/// the right of it; transposed: (2 (l % 4), l / 4) and the one below.
void do_ldmatrix(Lane* warp) {
  std::uint16_t m[4][8][8];
  const auto& first = record<LdmatrixRecord>(warp, 0);
  for (int lane = 0; lane < 8 * first.matrices; ++lane)
    std::memcpy(m[lane / 8][lane % 8], &record<LdmatrixRecord>(warp, lane).row, sizeof(MatrixRow));
  for (int lane = 0; lane < 32; ++lane) {
    const int major = lane / 4, minor = lane % 4 * 2;
    for (int i = 0; i < first.matrices; ++i) {
      const unsigned low = first.transpose ? m[i][minor][major] : m[i][major][minor];
      const unsigned high = first.transpose ? m[i][minor + 1][major] : m[i][major][minor + 1];
      record<LdmatrixRecord>(warp, lane).registers[i] = low | high << 16;
    }
  }
}

void check_all_lanes(const Warp& warp, Op op, Site site) {
  if (warp.exited != 0)
    fail_thread(site, fmt::format("{} (.aligned) needs all 32 lanes; lanes 0x{:08x} have exited or never were",
                                  op_name(op), warp.exited));
}

/// An .aligned instruction is one instruction for the whole warp.
void check_same_instruction(const Lane* warp, Op op) {
  for (int i = 1; i < 32; ++i) {
    bool same = warp[i].site.line == warp[0].site.line && std::strcmp(warp[i].site.file, warp[0].site.file) == 0;
    if (op == Op::ldmatrix) {
      const auto& r = *static_cast<const LdmatrixRecord*>(warp[i].record);
      const auto& r0 = *static_cast<const LdmatrixRecord*>(warp[0].record);
      same = same && r.matrices == r0.matrices && r.transpose == r0.transpose;
    }
    if (!same) {
      std::string what = fmt::format("{} (.aligned): lane {} executes the one at {}, lane 0 the one at {}", op_name(op),
                                     i, place(warp[i].site), place(warp[0].site));
      fail_thread(warp[i].site, std::move(what));
    }
  }
}

void resolve(Multiprocessor& sm, unsigned w, unsigned index) {
  Warp& warp = sm.warps[w];
  const Meeting meeting = warp.meeting[index];
  warp.meeting[index] = warp.meeting[--warp.meetings];
  Lane* lanes = &sm.lanes[w * 32];
  if (aligned_op(meeting.op)) {
    check_all_lanes(warp, meeting.op, lanes[std::countr_zero(meeting.arrived)].site);
    check_same_instruction(lanes, meeting.op);
  }
  switch (meeting.op) {
    case Op::shuffle:
      do_shuffle(lanes, meeting.arrived);
      break;
    case Op::vote:
      do_vote(lanes, meeting.arrived);
      break;
    case Op::mma_bf16:
      do_mma_bf16(lanes);
      break;
    case Op::mma_tf32:
      do_mma_tf32(lanes);
      break;
    case Op::mma_f64:
      do_mma_f64(lanes);
      break;
    case Op::ldmatrix:
      do_ldmatrix(lanes);
      break;
    case Op::warp_barrier:
    case Op::barrier:
    case Op::none:
      break;
  }
  for_each_lane(meeting.arrived, [&](int i) { sm.ready.push(w * 32 + static_cast<unsigned>(i)); });
}

bool complete(const Warp& warp, const Meeting& m) { return ((m.arrived | warp.exited) & m.mask) == m.mask; }

void meet(Op op, unsigned mask, void* arguments, Site site) {
  Multiprocessor& sm = *current;
  Lane& self = *sm.lane;
  const unsigned w = self.index / 32, bit = 1u << (self.index % 32);
  Warp& warp = sm.warps[w];
  if ((mask & bit) == 0)
    fail_thread(site, fmt::format("{} with mask 0x{:08x}, which leaves out the calling lane {}", op_name(op), mask,
                                  self.index % 32));
  if (aligned_op(op)) check_all_lanes(warp, op, site);
  self.op = op;
  self.site = site;
  self.mask = mask;
  self.record = arguments;
  self.state = Lane::State::waiting;
  unsigned i = 0;
  // Lanes may wait for this one elsewhere, behind a branch that it has yet to leave; a deadlock shows if it never
  // comes.
  while (i < warp.meetings && (warp.meeting[i].op != op || warp.meeting[i].mask != mask)) ++i;
  if (i == warp.meetings) warp.meeting[warp.meetings++] = {op, mask, 0, warp.next_order++ % SyncObjects::kPerWarp};
  warp.meeting[i].arrived |= bit;
  char* order = op == Op::warp_barrier ? &sm.sync->warp[w][warp.meeting[i].order] : nullptr;
  if (order != nullptr) order_release(order);
  if (complete(warp, warp.meeting[i])) resolve(sm, w, i);
  wait_for_others(sm);
  if (order != nullptr) order_acquire(order);
}

}  // namespace

void warp_lane_exited(Multiprocessor& sm, unsigned w) {
  Warp& warp = sm.warps[w];
  for (unsigned i = 0; i < warp.meetings;) {
    if (complete(warp, warp.meeting[i]))
      resolve(sm, w, i);  // another meeting takes its place
    else
      ++i;
  }
}

std::uint64_t shuffle(unsigned mask, std::uint64_t value, unsigned source, Site site) {
  ShuffleRecord r{value, source, false};
  meet(Op::shuffle, mask, &r, site);
  if (!r.answered)
    fail_thread(site,
                fmt::format("shuffle reads lane {}, which has exited or is not in the mask 0x{:08x}", source, mask));
  return r.value;
}

Vote vote(unsigned mask, bool yes, Site site) {
  VoteRecord r{yes, {0, 0}};
  meet(Op::vote, mask, &r, site);
  return r.result;
}

void warp_barrier(unsigned mask, Site site) { meet(Op::warp_barrier, mask, nullptr, site); }

void mma_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c, Site site) {
  MmaRecord r{d, a, b, c};
  meet(Op::mma_bf16, ~0u, &r, site);
}

void mma_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b, const float* c, Site site) {
  MmaRecord r{d, a, b, c};
  meet(Op::mma_tf32, ~0u, &r, site);
}

void mma_f64(double* d, const double* a, const double* b, const double* c, Site site) {
  MmaRecordF64 r{d, a, b, c};
  meet(Op::mma_f64, ~0u, &r, site);
}

void ldmatrix(std::uint32_t* registers, const MatrixRow& row, int matrices, bool transpose, Site site) {
  LdmatrixRecord r{registers, row, matrices, transpose};
  meet(Op::ldmatrix, ~0u, &r, site);
}

}  // namespace akin::sim
