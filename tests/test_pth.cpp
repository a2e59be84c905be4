// PyTorch's files: what is read of them, and that everything else is refused by name.
#include "engine/io/pth.hpp"

#include <doctest/doctest.h>

#include "tests/pth_files.hpp"
#include "tests/temp_folder.hpp"

using namespace akin;
using namespace akin::test;
namespace p = akin::test::pickle;

namespace {

const std::string kTen = floats(10);

std::vector<float> values(const Array& a) {
  const Array f = a.cast(DType::f32);
  return {f.as<float>().begin(), f.as<float>().end()};
}

SafeTensors parsed(const std::string& value,
                   const std::vector<std::pair<std::string, std::string>>& storages = {{"0", kTen}}) {
  return parse_weights(pth_of(value, storages), "w.pth");
}
std::string refusal(const std::string& value,
                    const std::vector<std::pair<std::string, std::string>>& storages = {{"0", kTen}}) {
  return error_of([&] { parsed(value, storages); });
}

p::View view(std::vector<std::int64_t> size, std::vector<std::int64_t> stride, std::int64_t offset = 0) {
  return {.numel = 10, .offset = offset, .size = std::move(size), .stride = std::move(stride)};
}
const std::string kPlain = p::tensor(view({2, 3}, {3, 1}));

}  // namespace

TEST_CASE("pth: tensors as they lie in their storage, several in one") {
  const SafeTensors file = parsed(p::dict({{"plain", kPlain},
                                           {"turned", p::tensor(view({3, 2}, {1, 3}, 1))},
                                           {"part", p::tensor(view({2}, {4}, 3))},
                                           {"repeated", p::tensor(view({3}, {0}, 7))},
                                           {"one", p::tensor(view({}, {}, 9))},
                                           {"none", p::tensor(view({0, 4}, {4, 1}))}}));
  REQUIRE_EQ(file.tensors.size(), 6);
  CHECK_EQ(file.source, "w.pth");
  CHECK_EQ(file.tensors[0].first, "plain");
  CHECK(file.at("plain").shape() == Shape{2, 3});
  CHECK(values(file.at("plain")) == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(values(file.at("turned")) == std::vector<float>{1, 4, 2, 5, 3, 6});
  CHECK(values(file.at("part")) == std::vector<float>{3, 7});
  CHECK(values(file.at("repeated")) == std::vector<float>{7, 7, 7});
  CHECK(values(file.at("one")) == std::vector<float>{9});
  CHECK_EQ(file.at("one").shape().rank(), 0);
  CHECK_EQ(file.at("none").numel(), 0);
}

TEST_CASE("pth: every type of numbers becomes akin's") {
  const auto one = [](const char* storage, const std::string& bytes) {
    return parsed(p::dict({{"x", p::tensor({.storage = storage, .numel = 2, .size = {2}, .stride = {1}})}}),
                  {{"0", bytes}})
        .at("x");
  };
  using namespace std::string_literals;
  CHECK(values(one("HalfStorage", "\x00\x3c\x00\xc1"s)) == std::vector<float>{1, -2.5});
  CHECK(one("BFloat16Storage", "\x80\x3f\x20\xc0"s).dtype() == DType::bf16);
  CHECK(values(one("BFloat16Storage", "\x80\x3f\x20\xc0"s)) == std::vector<float>{1, -2.5});
  CHECK(one("DoubleStorage", std::string(16, '\0')).dtype() == DType::f64);
  CHECK(values(one("LongStorage", little(7, 8) + little(~std::uint64_t{0}, 8))) == std::vector<float>{7, -1});
  CHECK(values(one("ShortStorage", little(7, 2) + little(0xffff, 2))) == std::vector<float>{7, -1});
  CHECK(values(one("CharStorage", "\x07\xff"s)) == std::vector<float>{7, -1});
  CHECK(values(one("ByteStorage", "\x07\xff"s)) == std::vector<float>{7, 255});
  CHECK(values(one("BoolStorage", "\x01\x00"s)) == std::vector<float>{1, 0});
}

TEST_CASE("pth: the weights are found among what else a program saved") {
  const std::string weights = p::dict({{"fc.weight", kPlain}}), other = p::dict({{"momentum", kPlain}});
  const auto name = [&](const std::string& value) { return parsed(value).tensors.at(0).first; };
  CHECK_EQ(name(weights), "fc.weight");
  CHECK_EQ(name(p::dict({{"epoch", p::whole(3)}, {"state_dict", weights}})), "fc.weight");
  CHECK_EQ(name(p::dict({{"ema", other}, {"model", weights}})), "fc.weight");
  CHECK_EQ(name(p::dict({{"accuracy", p::tensor(view({}, {}))}, {"student", weights}})), "fc.weight");
  // An ordered dictionary with attributes, as Module.state_dict() returns it.
  const std::string ordered = p::call(p::global("collections", "OrderedDict"), {}) + "(" + p::text("fc.weight") +
                              kPlain + "u" + p::dict({{"_metadata", p::dict({})}}) + "b";
  CHECK_EQ(name(ordered), "fc.weight");
  CHECK(has(refusal(p::dict({{"ema", other}, {"teacher", weights}})), "several sets of weights (ema, teacher)"));
  CHECK(has(refusal(p::dict({{"epoch", p::whole(3)}})), "no dictionary of tensors"));
  CHECK(has(refusal(kPlain), "one tensor without a name"));
  CHECK(has(refusal(p::whole(3)), "no dictionary of tensors"));
}

TEST_CASE("pth: no code of the file is run, and what would need it is named") {
  const std::string system = p::call(p::global("os", "system"), {p::text("touch pwned")});
  for (const std::string& value :
       {p::dict({{"w", system}}), system, p::dict({{"w", kPlain}, {"args", p::global("argparse", "Namespace")}})}) {
    const std::string error = refusal(value);
    CHECK(has(error, "w.pth: a PyTorch file in which more than tensors was saved: it needs "));
    CHECK((has(error, "os.system") || has(error, "argparse.Namespace")));
    CHECK(has(error, "torch.save("));
  }
  // Protocol 4 names classes by the stack.
  CHECK(has(refusal(p::text("builtins") + p::text("eval") + "\x93"), "builtins.eval"));
  // Known names do nothing but what they are known for.
  for (const std::string& value :
       {p::call(p::global("torch", "FloatStorage"), {p::whole(1)}), p::call(p::text("x"), {}),
        p::call(p::global("torch._utils", "_rebuild_tensor_v2"), {p::whole(1)}),
        p::call(p::global("torch._utils", "_rebuild_parameter"), {p::whole(1)}), kPlain + p::dict({}) + "b",
        std::string("cposix\nsystem"), std::string("i")})
    CHECK_MESSAGE(has(refusal(p::dict({{"w", value}})), "w.pth: "), value);
  // Instructions that build objects of classes.
  CHECK(has(refusal("}}\x81"), "instruction 0x81"));
}

TEST_CASE("pth: views that their storage cannot hold are refused") {
  const auto said = [&](const p::View& v) { return refusal(p::dict({{"w", p::tensor(v)}})); };
  CHECK(has(said(view({2, 6}, {6, 1})), "tensor \"w\": reaches behind the 10 numbers"));
  CHECK(has(said(view({2}, {1}, 9)), "reaches behind"));
  CHECK(has(said(view({2}, {1}, 10)), "begins at 10 of 10"));
  CHECK(has(said(view({2}, {1}, -1)), "begins at -1"));
  CHECK(has(said(view({2}, {-1}, 5)), "reaches behind"));
  CHECK(has(said(view({-2}, {1})), "a size of -2"));
  CHECK(has(said(view({2000000000, 2000000000, 2000000000}, {0, 0, 0})), "more numbers than the file can hold"));
  CHECK(has(said(view({2}, {1, 1})), "1 sizes and 2 strides"));
  p::View v = view({2}, {1});
  v.numel = 11;
  CHECK(has(said(v), "11 numbers are claimed, 10 are there"));
  v = view({2}, {1});
  v.key = "7";
  CHECK(has(said(v), "(archive/data/7) are missing"));
  v.storage = "ComplexFloatStorage";
  CHECK(has(said(v), "torch.ComplexFloatStorage"));
  // Many views of one storage are more than the file is worth.
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 3000; ++i) many.emplace_back("w" + std::to_string(i), p::tensor(view({2, 5, 1000}, {5, 1, 0})));
  CHECK(has(refusal(p::dict(many)), "more numbers than the file can hold"));
}

TEST_CASE("pth: damaged files are told as such, at every byte") {
  const Bytes sound = pth_of(p::dict({{"a", kPlain}, {"b", p::tensor(view({3}, {1}))}}), {{"0", kTen}});
  REQUIRE_EQ(parse_weights(sound, "w").tensors.size(), 2);
  for (std::size_t n = 0; n < sound.size(); ++n)
    CHECK_MESSAGE(!error_of([&] { parse_weights(ByteView(sound).first(n), "w"); }).empty(), n);
  // A bit anywhere in what the archive holds; times and versions are nobody's concern.
  const std::string text(sound.begin(), sound.end());
  for (const std::string& content : {p::program(p::dict({{"a", kPlain}, {"b", p::tensor(view({3}, {1}))}})), kTen}) {
    const std::size_t begin = text.find(content);
    REQUIRE(begin != std::string::npos);
    for (std::size_t i = begin; i < begin + content.size(); ++i) {
      Bytes flipped = sound;
      flipped[i] ^= 0x10;
      CHECK_MESSAGE(has(error_of([&] { parse_weights(flipped, "w"); }), "is damaged: its checksum"), i);
    }
  }
  for (std::size_t i = 0; i < sound.size(); ++i) {  // and elsewhere it is told or harmless
    Bytes flipped = sound;
    flipped[i] ^= 0x10;
    std::size_t tensors = 0;
    const std::string error = error_of([&] { tensors = parse_weights(flipped, "w").tensors.size(); });
    CHECK((error.empty() ? tensors == 2 : error.starts_with("w: ")));
  }
  const auto fails = [&](std::vector<std::pair<std::string, std::string>> files) {
    return error_of([&] { parse_pth(zip_of(files), "w"); });
  };
  const std::string plain = p::program(p::dict({{"a", kPlain}}));
  CHECK(has(fails({{"x/data.pkl", plain}, {"x/data/0", kTen}, {"x/byteorder", "big"}}), "byte order 'big'"));
  CHECK(has(fails({{"x/data.pkl", plain}, {"x/data.pkl", plain}}), "it holds x/data.pkl twice"));
  CHECK(has(fails({{"x/other", plain}}), "it has no data.pkl"));
  CHECK(has(fails({{"x/data.pkl", "\x80\2}"}}), "ends within an instruction"));
  CHECK(has(fails({{"x/data.pkl", "\x80\x09}."}}), "protocol 9"));
  Bytes packed = sound;  // the method of the first file in the list
  packed[text.find("PK\1\2") + 10] = 8;
  const std::string error = error_of([&] { parse_weights(packed, "w"); });
  CHECK(has(error, "archive/data.pkl is compressed"));
  CHECK_FALSE(has(error, "damaged"));
}

TEST_CASE("pth: a file that PyTorch wrote") {
  // tests/golden/make_pth.py: a convolution, its norm and a linear layer, the latter shared and turned.
  const std::filesystem::path path = std::string(AKIN_SOURCE_DIR) + "/tests/golden/weights.pth";
  const Bytes bytes = read_file(path);
  REQUIRE(is_pth(bytes));
  const SafeTensors file = parse_weights(bytes, path.string());
  CHECK(file.at("conv.weight").shape() == Shape{2, 1, 3, 3});
  CHECK_EQ(values(file.at("conv.weight"))[4], 4.0f);
  CHECK(values(file.at("fc.weight")) == std::vector<float>{0, 2, 4, 1, 3, 5});
  CHECK(values(file.at("tied.weight")) == values(file.at("fc.weight")));
  CHECK(file.at("bn.num_batches_tracked").dtype() == DType::i64);
  CHECK(values(file.at("half")) == std::vector<float>{0.5f, -1.5f});
  CHECK(values(file.at("brain")) == std::vector<float>{0.5f, -1.5f});
}
