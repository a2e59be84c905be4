#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "engine/tensor.hpp"

using namespace akin;

TEST_CASE("shape: sizes, names, limits") {
  const Shape s{2, 3, 4};
  CHECK_EQ(s.rank(), 3);
  CHECK_EQ(s.numel(), 24);
  CHECK_EQ(s[0], 2);
  CHECK_EQ(s[-1], 4);
  CHECK_EQ(s.str(), "[2, 3, 4]");
  CHECK_EQ(Shape().numel(), 1);
  CHECK_EQ(Shape().str(), "[]");
  CHECK_EQ(Shape{5, 0, 7}.numel(), 0);
  CHECK(s == Shape{2, 3, 4});
  CHECK_FALSE(s == Shape{2, 12});
  CHECK_THROWS_WITH_AS(s.dim(3), doctest::Contains("shape [2, 3, 4]: no dimension 3"), Error);
  CHECK_THROWS_WITH_AS(s.dim(-4), doctest::Contains("no dimension -4"), Error);
  CHECK_THROWS_WITH_AS(Shape({2, -1}), doctest::Contains("negative size -1"), Error);

  constexpr std::int64_t big = std::int64_t{1} << 31;
  CHECK_THROWS_WITH_AS(Shape({big, big}), doctest::Contains("too many elements"), Error);
  CHECK_THROWS_WITH_AS(Shape({big, big, 4}), doctest::Contains("too many elements"), Error);  // 2^64 wraps to 0
  CHECK_THROWS_WITH_AS(Shape({std::numeric_limits<std::int64_t>::max(), 2}), doctest::Contains("too many"), Error);
  CHECK_EQ(Shape({big, big, 0}).numel(), 0);  // no element: whatever the other sizes say
  CHECK_EQ(Shape({1 << 30, 1 << 29}).numel(), std::int64_t{1} << 59);
}

TEST_CASE("array: values, casts, reshapes") {
  const Array a = Array::from(std::vector<float>{1.5f, -2.75f, 300.0f, 0.0f}, {2, 2});
  CHECK_EQ(a.byte_size(), 16);
  CHECK_EQ(a.cast(DType::f64).as<double>()[1], -2.75);
  CHECK_EQ(a.cast(DType::i32).as<std::int32_t>()[1], -2);
  CHECK_EQ(a.cast(DType::i64).as<std::int64_t>()[2], 300);
  const Array bytes = Array::from(std::vector<std::uint8_t>{0, 128, 255}, {3});
  CHECK_EQ(bytes.cast(DType::f32).as<float>()[2], 255.0f);
  CHECK_EQ(bytes.cast(DType::i64).as<std::int64_t>()[1], 128);
  CHECK(a.cast(DType::f32).as<float>()[0] == 1.5f);
  CHECK_EQ(a.reshaped({4}).shape().str(), "[4]");
  CHECK_THROWS_WITH_AS(a.reshaped({3}), doctest::Contains("[2, 2] does not reshape to [3]"), Error);
  CHECK_THROWS_WITH_AS(a.as<double>(), doctest::Contains("holds f32, f64 was asked for"), Error);
  CHECK_THROWS_WITH_AS(Array::from(std::vector<float>{1, 2, 3}, {2, 2}), doctest::Contains("3 values"), Error);
  CHECK_EQ(Array().numel(), 0);

  Array half(DType::bf16, {3});  // 1, -2, infinity
  const std::uint16_t bits[] = {0x3F80, 0xC000, 0x7F80};
  std::memcpy(half.bytes(), bits, sizeof bits);
  const Array wide = half.cast(DType::f32);
  CHECK_EQ(wide.as<float>()[0], 1.0f);
  CHECK_EQ(wide.as<float>()[1], -2.0f);
  CHECK(std::isinf(wide.as<float>()[2]));
  CHECK(std::memcmp(wide.cast(DType::bf16).bytes(), bits, sizeof bits) == 0);
  // 1 + 2^-8 lies between two bf16 and goes to the even one; a little more goes up. 3 * 2^-8 goes up to the even one.
  const Array fine = Array::from(std::vector<double>{1 + 0x1p-8, 1 + 0x1p-8 + 0x1p-20, 1 + 3 * 0x1p-8, NAN}, {4});
  const Array rounded = fine.cast(DType::bf16).cast(DType::f64);
  CHECK_EQ(rounded.as<double>()[0], 1.0);
  CHECK_EQ(rounded.as<double>()[1], 1 + 0x1p-7);
  CHECK_EQ(rounded.as<double>()[2], 1 + 0x1p-6);
  CHECK(std::isnan(rounded.as<double>()[3]));

  for (const DType d : {DType::f32, DType::f64, DType::bf16, DType::u8, DType::i32, DType::i64}) {
    CAPTURE(name_of(d));
    CHECK_EQ(Array(d, {3}).byte_size(), 3 * size_of(d));
  }
}

TEST_CASE("tensor: handles share, views point inside, to_array copies") {
  Context ctx(Device::cpu, {.poison = true});
  const Tensor t = Tensor::from(ctx, std::vector<float>{0, 1, 2, 3, 4, 5}, {2, 3});
  const Tensor same = t;
  same.data<float>()[0] = 10;
  CHECK_EQ(t.data<float>()[0], 10);

  const Tensor v = t.view({2}, 3);
  CHECK_EQ(v.data<float>(), t.data<float>() + 3);
  const Tensor w = v.view({1}, 1);  // a view of a view counts from the view
  CHECK_EQ(w.item(), 4);
  w.data<float>()[0] = 40;
  CHECK_EQ(t.data<float>()[4], 40);
  CHECK_THROWS_WITH_AS(t.view({4}, 3), doctest::Contains("view: [4] from element 3 does not fit in [2, 3]"), Error);
  CHECK_THROWS_WITH_AS(t.view({1}, -1), doctest::Contains("element -1"), Error);
  CHECK_THROWS_WITH_AS(t.view({1}, 7), doctest::Contains("element 7"), Error);
  CHECK_EQ(t.view({0}, 6).numel(), 0);

  Array copy = t.to_array();
  copy.as<float>()[1] = 99;
  CHECK_EQ(t.data<float>()[1], 1);
  CHECK(copy.shape() == t.shape());

  // A view keeps the memory alive when the tensor it came from is gone.
  Tensor outlives;
  {
    const Tensor gone = Tensor::from(ctx, std::vector<double>{7, 8}, {2});
    outlives = gone.view({1}, 1);
  }
  CHECK_EQ(outlives.item(), 8);
}

TEST_CASE("tensor: fresh memory, zeros, no elements") {
  Context ctx(Device::cpu, {.poison = true});
  const Tensor e = Tensor::empty(ctx, {3});
  for (int i = 0; i < 3; ++i) CHECK(std::isnan(e.data<float>()[i]));  // poisoned, so that a forgotten write shows
  const Tensor z = Tensor::zeros(ctx, {3}, DType::i64);
  for (int i = 0; i < 3; ++i) CHECK_EQ(z.data<std::int64_t>()[i], 0);
  const Tensor none = Tensor::zeros(ctx, {0, 4});
  CHECK_EQ(none.bytes(), 0);
  CHECK_EQ(none.to_array().numel(), 0);
  const Tensor scalar = Tensor::from(ctx, std::vector<float>{2.5f}, Shape());
  CHECK_EQ(scalar.item(), 2.5);
  CHECK_EQ(scalar.shape().rank(), 0);
}

TEST_CASE("tensor: misuse is named") {
  Context ctx;
  const Tensor t = Tensor::zeros(ctx, {2});
  CHECK_THROWS_WITH_AS(t.data<double>(), doctest::Contains("tensor: holds f32, f64 was asked for"), Error);
  CHECK_THROWS_WITH_AS(t.item(), doctest::Contains("item: tensor has shape [2]"), Error);
  const Tensor undefined;
  CHECK_FALSE(undefined.defined());
  CHECK_THROWS_WITH_AS(undefined.numel(), doctest::Contains("before it was given a value"), Error);
  Tensor labels = Tensor::zeros(ctx, {2}, DType::i64);
  CHECK_THROWS_WITH_AS(labels.set_requires_grad(true), doctest::Contains("a tensor of i64 has no gradient"), Error);
  labels.set_requires_grad(false);
  CHECK_FALSE(labels.requires_grad());
}

TEST_CASE("tensor: item reads every number type") {
  Context ctx;
  CHECK_EQ(Tensor::from(ctx, std::vector<double>{1e300}, {1}).item(), 1e300);
  CHECK_EQ(Tensor::from(ctx, std::vector<std::int64_t>{-5}, {1, 1}).item(), -5);
  CHECK_EQ(Tensor::from(ctx, std::vector<std::uint8_t>{200}, {1}).item(), 200);
  CHECK_EQ(Tensor::from(ctx, std::vector<std::int32_t>{7}, {1}).item(), 7);
}
