// safetensors: what is read and written again is read equal.
#include "engine/io/safetensors.hpp"
#include "tests/fuzz/json_mutator.hpp"

namespace akin::fuzz {

namespace {

void run(ByteView input) {
  const auto file = accepted([&] { return parse_safetensors(input, "input"); });
  if (!file) return;
  std::uint64_t bytes = 0;
  for (const auto& [name, array] : file->tensors) {
    bytes += array.byte_size();
    require(same_bits(file->at(name), array), "a name stands for two tensors");
    passes([&, &a = array] { check_finite(a, "tensor", "input"); });
  }
  require(bytes <= 4 * input.size(), "more numbers than the file has bytes for");  // f16 and u16 become twice as long
  const Bytes written = must("writing what was read", [&] { return to_safetensors(*file); });
  const SafeTensors again = must("reading what was written", [&] { return parse_safetensors(written, "written"); });
  require(again.tensors.size() == file->tensors.size() && again.metadata == file->metadata,
          "read again there are other tensors or metadata");
  for (const auto& [name, array] : file->tensors)
    require(again.find(name) != nullptr && same_bits(*again.find(name), array), "a tensor is another one read again");
  require(to_safetensors(again) == written, "equal content gives other bytes");
}

Bytes raw(std::string_view header, std::size_t data) {
  Bytes out;
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<std::uint8_t>(header.size() >> (8 * i)));
  out.insert(out.end(), header.begin(), header.end());
  for (std::size_t i = 0; i < data; ++i) out.push_back(static_cast<std::uint8_t>(37 * i));
  return out;
}

Seeds seeds() {
  SafeTensors own;
  own.add("w", Array::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3}));
  own.add("n", Array::from(std::vector<std::int64_t>{7}, Shape({})));
  own.add("empty", Array(DType::f32, {0, 5}));
  own.metadata = {{"format", "pt"}, {"note", "\"quoted\" \xc3\xa9"}};
  Seeds all{{"own", to_safetensors(own)}, {"nothing", to_safetensors({})}};
  const auto one = [&](const std::string& dtype, std::size_t size) {
    all.push_back({dtype, raw(R"({"a":{"dtype":")" + dtype + R"(","shape":[2],"data_offsets":[0,)" +
                                  std::to_string(2 * size) + "]}}",
                              2 * size)});
  };
  for (const char* t : {"BOOL", "U8", "I8", "F8_E4M3"}) one(t, 1);
  for (const char* t : {"F16", "BF16", "I16", "U16"}) one(t, 2);
  for (const char* t : {"F32", "I32", "U32"}) one(t, 4);
  for (const char* t : {"F64", "I64", "U64"}) one(t, 8);
  return all;
}

}  // namespace

const Target target{.run = run,
                    .seeds = seeds,
                    .words = {"\"dtype\"", "\"shape\"", "\"data_offsets\"", "\"__metadata__\"", "F16", "BF16", "BOOL",
                              "\"F32\"", "\"I64\"", "[]", "{}"},
                    .mutate = mutate_safetensors};

}  // namespace akin::fuzz
