#include <doctest/doctest.h>

#include <cmath>

#include "engine/io/sha256.hpp"
#include "kernels/common/rng.hpp"
#include "nn/evaluate.hpp"
#include "nn/model_file.hpp"
#include "nn/zoo/zoo.hpp"
#include "tests/temp_folder.hpp"
#include "tests/toy.hpp"

using namespace akin;
using namespace akin::test;

namespace {

struct Fixture {
  TempFolder folder;
  Context ctx;
  std::filesystem::path path = folder / "model.safetensors";
  std::unique_ptr<Network> net =
      make_network(ctx, {.name = "resnet8", .width = 4, .shortcut = "conv", .channels = 3, .classes = 5});
  ModelInfo info;

  Fixture() {
    initialize(net->parameters(), 3);
    net->features(ctx, Tensor::zeros(ctx, {2, 8, 8, 3}), true);  // statistics that are not those of a new network
    info.architecture = net->architecture();
    info.height = 8;
    info.width = 9;
    info.normalization = {{0.1f, 0.2f, 0.3f}, {0.4f, 0.5f, 0.6f}};
    info.classes = {"a", "b", "\"quoted\"", "\xce\xb4", "e"};
    info.task = "toy";
    info.test_accuracy = 0.1234567890123;
  }
  /// The file with `edit` applied.
  void write(const std::function<void(SafeTensors&)>& edit, bool described = true) {
    save_model(path, *net, info);
    SafeTensors t = read_safetensors(path);
    t.metadata.erase("sha256");  // as another program leaves it; with it, every edit would be refused for itself
    if (!described) t.metadata.clear();
    edit(t);
    write_safetensors(path, t);
  }
  std::string error(const ModelInfo* fallback = nullptr) {
    return error_of([&] { load_model(ctx, path, fallback); });
  }
};

void set(SafeTensors& t, const std::string& name, const Array& value) {
  for (auto& [n, a] : t.tensors)
    if (n == name) a = value;
}

void rename(SafeTensors& t, const std::function<std::string(const std::string&)>& f) {
  for (auto& [n, a] : t.tensors) n = f(n);
}

void replace(std::string& text, const std::string& from, const std::string& to) {
  REQUIRE(has(text, from));
  text.replace(text.find(from), from.size(), to);
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a model comes back bit by bit, with what it takes to use it") {
  save_model(path, *net, info);
  const Model m = load_model(ctx, path);
  CHECK_EQ(differing(*m.network, *net), "");
  CHECK(m.info.architecture == net->architecture());
  CHECK_EQ(m.info.height, 8);
  CHECK_EQ(m.info.width, 9);
  CHECK_EQ(m.info.normalization.mean, info.normalization.mean);
  CHECK_EQ(m.info.normalization.std, info.normalization.std);
  CHECK_EQ(m.info.classes, info.classes);
  CHECK_EQ(m.info.task, "toy");
  CHECK_EQ(m.info.test_accuracy, info.test_accuracy);
  CHECK_EQ(m.hash.size(), 64);
  const Bytes bytes = read_file(path);
  save_model(path, *m.network, m.info);
  CHECK(read_file(path) == bytes);
  CHECK_EQ(load_model(ctx, path).hash, m.hash);
  const Model parsed = load_model(ctx, parse_safetensors(bytes, path.string()), sha256_hex(bytes));
  CHECK_EQ(differing(*parsed.network, *net), "");
  CHECK_EQ(parsed.info.classes, info.classes);
  CHECK_EQ(parsed.hash, m.hash);
  info.task = "other";
  save_model(path, *net, info);
  CHECK_NE(load_model(ctx, path).hash, m.hash);
  // Class names from folders may be no UTF-8: they must not cost the model.
  info.classes[3] = "caf\xe9";
  save_model(path, *net, info);
  CHECK_EQ(load_model(ctx, path).info.classes[0], "a");
}

TEST_CASE_FIXTURE(Fixture, "on disk: torchvision's names, OIHW, a rank-0 i64 counter") {
  save_model(path, *net, info);
  const SafeTensors t = read_safetensors(path);
  CHECK_EQ(t.tensors.size(), net->parameters().size());
  for (const Parameter& p : net->parameters()) {
    const Array& a = t.at(p.name);
    if (p.kind == ParameterKind::counter) {
      CHECK_EQ(a.shape().rank(), 0);
      CHECK_EQ(a.as<std::int64_t>()[0], 1);
    }
    if (p.kind != ParameterKind::conv_weight) continue;
    const std::int64_t K = p.tensor.dim(0), R = p.tensor.dim(1), S = p.tensor.dim(2), C = p.tensor.dim(3);
    REQUIRE(a.shape() == Shape{K, C, R, S});
    for (std::int64_t k = 0; k < K; ++k)
      for (std::int64_t c = 0; c < C; ++c)
        for (std::int64_t r = 0; r < R; ++r)
          for (std::int64_t s = 0; s < S; ++s)
            REQUIRE_EQ(a.as<float>()[static_cast<std::size_t>(((k * C + c) * R + r) * S + s)],
                       p.tensor.data<float>()[((k * R + r) * S + s) * C + c]);
  }
}

TEST_CASE_FIXTURE(Fixture, "files of other programs: prefixes, heads called linear, no counters, f64 and f16") {
  ModelInfo fallback;
  fallback.architecture = {.name = "resnet8", .shortcut = "conv"};  // width, channels and classes are in the file
  const std::vector<std::function<std::string(const std::string&)>> names = {
      [](const std::string& n) { return n; }, [](const std::string& n) { return "module." + n; },
      [](const std::string& n) { return "module." + (n.starts_with("fc.") ? "linear." + n.substr(3) : n); }};
  for (const auto& name : names) {
    write(
        [&](SafeTensors& t) {
          rename(t, name);
          std::erase_if(t.tensors, [](auto& n) { return n.first.ends_with("num_batches_tracked"); });
          for (auto& [n, a] : t.tensors)
            if (n.ends_with("conv1.weight")) a = a.cast(DType::f64);
        },
        false);
    const Model m = load_model(ctx, path, &fallback);
    CHECK(m.info.architecture == net->architecture());
    CHECK_EQ(m.info.normalization.mean, std::vector<float>{0.5f, 0.5f, 0.5f});
    const ParameterList a = m.network->parameters(), b = net->parameters();
    for (std::size_t i = 0; i < a.size(); ++i)
      if (a[i].kind != ParameterKind::counter)
        CHECK_MESSAGE(same_bits(a[i].tensor.to_array(), b[i].tensor.to_array()), a[i].name);
  }
  write([](SafeTensors&) {}, false);
  const std::string none = error();
  CHECK(has(none, "--arch"));
  CHECK(has(none, "model.safetensors"));
}

TEST_CASE_FIXTURE(Fixture, "a prefix that names share is taken off and told of") {
  ModelInfo fallback;
  fallback.architecture = {.name = "resnet8", .shortcut = "conv"};
  const auto tensors = static_cast<std::int64_t>(net->parameters().size());
  for (const std::string prefix : {"_orig_mod.", "_orig_mod.module.", "module._orig_mod.", "model.", "state_dict.",
                                   "net.", "backbone.", "a.b.c.layer1.0.", "layer1."}) {
    for (const bool head_too : {true, false}) {
      CAPTURE(prefix);
      write(
          [&](SafeTensors& t) {
            rename(t, [&](const std::string& n) { return head_too || !n.starts_with("fc.") ? prefix + n : n; });
          },
          false);
      const ForeignModel m = load_foreign(ctx, path, &fallback, {});
      CHECK_EQ(differing(*m.model.network, *net), "");
      CHECK_EQ(m.report.prefix.text, prefix);
      CHECK_EQ(m.report.prefix.names, head_too ? tensors : tensors - 2);
    }
  }
  write([](SafeTensors&) {}, false);
  CHECK_EQ(load_foreign(ctx, path, &fallback, {}).report.prefix.names, 0);
  // What does not belong to the network is still told, and two networks in a file are not guessed at.
  write(
      [](SafeTensors& t) {
        rename(t, [](const std::string& n) { return "encoder." + n; });
        t.add("projector.0.weight", Array(DType::f32, {2}));
      },
      false);
  CHECK(has(error(&fallback), "5 classes): unexpected projector.0.weight; give"));
  write(
      [](SafeTensors& t) {
        const auto once = t.tensors;
        rename(t, [](const std::string& n) { return "student." + n; });
        for (const auto& [n, a] : once) t.add("teacher." + n, a);
      },
      false);
  const std::string both = error(&fallback);
  CHECK(has(both, fmt::format("Names in the file begin with \"student.\" ({0}), \"teacher.\" ({0})", tensors)));
  CHECK(has(both, "missing conv1.weight"));
}

TEST_CASE_FIXTURE(Fixture, "every missing, unexpected and misshapen tensor is in one message") {
  write([](SafeTensors& t) {
    rename(t, [](const std::string& n) { return n == "bn1.bias" ? "bn1.offset" : n; });
    set(t, "layer1.0.conv1.weight", Array(DType::f32, {4, 4, 3, 2}));
    set(t, "layer2.0.bn1.weight", Array(DType::i32, {8}));
    t.add("module.fc.bias", Array(DType::f32, {5}));
  });
  const std::string e = error();
  for (const char* part : {"model.safetensors", "missing bn1.bias", "unexpected bn1.offset",
                           "layer1.0.conv1.weight is [4, 4, 3, 2], expected [4, 4, 3, 3]",
                           "layer2.0.bn1.weight holds whole numbers", "two tensors for fc.bias", "resnet8", "width 4"})
    CHECK_MESSAGE(has(e, part), e);
  std::size_t gone = 0;  // of hundreds the first are named; the batches that were seen are no weights
  write([&](SafeTensors& t) {
    std::erase_if(t.tensors, [&](auto& n) {
      const bool layer = n.first.starts_with("layer");
      gone += layer && !n.first.ends_with("num_batches_tracked");
      return layer;
    });
  });
  CHECK(has(error(), "missing layer1.0.conv1.weight, "));
  CHECK_MESSAGE(has(error(), fmt::format(" and {} more", gone - 3)), error());
}

TEST_CASE_FIXTURE(Fixture, "weights that are no numbers are refused with tensor and file") {
  for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY), 1e300}) {
    for (const char* name : {"fc.bias", "layer2.0.bn1.running_var"}) {
      write([&](SafeTensors& t) {
        Array a = t.at(name).cast(DType::f64);
        a.as<double>()[1] = bad;  // 1e300 is finite in f64 only
        set(t, name, a);
      });
      const std::string e = error();
      CHECK_MESSAGE(has(e, name), e);
      CHECK_MESSAGE(has(e, "model.safetensors"), e);
    }
  }
}

TEST_CASE_FIXTURE(Fixture, "weights that no training writes are refused with tensor and element") {
  const auto refusal = [&](const std::string& name, double value) {
    write([&](SafeTensors& t) {
      Array a = t.at(name).cast(DType::f64);
      a.as<double>()[1] = value;
      set(t, name, a);
    });
    return error();
  };
  CHECK(
      has(refusal("layer2.0.bn1.running_var", -1e-6), "\"layer2.0.bn1.running_var\" holds -1e-06 at element 1, a neg"));
  CHECK(has(refusal("fc.weight", -2e30),
            "model.safetensors: tensor \"fc.weight\" holds -2e+30 at element 1, beyond 1e30"));
  CHECK(has(refusal("bn1.running_var", 2e30), "beyond 1e30"));
  CHECK_EQ(refusal("bn1.running_var", 0), "");
  CHECK_EQ(refusal("bn1.running_mean", -3), "");
  write([](SafeTensors& t) {
    set(t, "bn1.num_batches_tracked", Array::from<std::int64_t>({-1}, Shape(std::vector<std::int64_t>{})));
  });
  CHECK(has(error(), "\"bn1.num_batches_tracked\" counts -1 batches"));
  const auto zeros = [&](const std::string& part) {
    write([&](SafeTensors& t) {
      for (auto& [n, a] : t.tensors)
        if (has(n, part)) a = Array(a.dtype(), a.shape());
    });
  };
  zeros("");
  CHECK(has(error(), "the weights of all layers are zero"));
  zeros("layer2.0.conv2.");
  CHECK_EQ(load_foreign(ctx, path, nullptr, {}).report.suspect, std::vector<std::string>{"layer2.0.conv2.weight"});
  // Layouts of other programs are named.
  write([](SafeTensors& t) {
    set(t, "layer2.0.conv1.weight", Array(DType::f32, {3, 3, 4, 8}));
    set(t, "fc.weight", Array(DType::f32, {5, 16}));
    set(t, "conv1.weight", Array(DType::f32, {4, 3, 3, 3}));
  });
  CHECK(has(error(), "layer2.0.conv1.weight is [3, 3, 4, 8], expected [8, 4, 3, 3] (height, width, in, out, as Tens"));
}

TEST_CASE_FIXTURE(Fixture, "damaged descriptions and lying sizes are refused before memory is spent") {
  const std::vector<std::pair<std::string, std::string>> edits = {
      {"\"architecture\"", "\"arch\""},
      {"\"classes\":5", "\"classes\":1000000000000"},
      {"\"classes\":5", "\"classes\":-5"},
      {"\"classes\":5", "\"classes\":6"},
      {"\"classes\":5", "\"classes\":\"5\""},
      {"\"channels\":3", "\"channels\":-1"},
      {"\"channels\":3", "\"channels\":9000000000000000000"},
      {"\"width\":4", "\"width\":4096"},
      {"\"width\":4", "\"width\":-4"},
      {"\"architecture\":\"resnet8\"", "\"architecture\":\"resnet9\""},
      {"\"shortcut\":\"conv\"", "\"shortcut\":\"B\""},
      {"\"class_names\":[\"a\",", "\"class_names\":["},
      {"\"image_height\":8", "\"image_height\":1099511627776"},
      {"\"image_height\":8", "\"image_height\":-3"},
      {"\"image_width\":9", "\"image_width\":9.5"},
      {"\"width\":4", "\"width\":1e80"},
      {"\"task\":", "\"width\":4,\"task\":"},
      {"\"task\":\"toy\"", "\"task\":" + std::string(100000, '[')},
      {"\"std\":[", "\"std\":[0.0,"},
      {"\"mean\":[", "\"mean\":[1e39,"},
      {"\"std\":[0.4", "\"std\":[-0.4"},
      {"\"mean\":", "\"middle\":"},
      {"{", "{{"},
  };
  for (const auto& [from, to] : edits) {
    CAPTURE(to);
    write([&, &f = from, &s = to](SafeTensors& t) { replace(t.metadata["model"], f, s); });
    ctx.allocator->flush();
    const std::size_t before = ctx.allocator->stats().in_use;
    const std::string e = error();
    CHECK_NE(e, "");
    CHECK(ctx.allocator->stats().peak_in_use < before + (std::size_t{1} << 24));
    if (!has(to, "resnet9") && !has(to, "\"B\"")) CHECK_MESSAGE(has(e, "model.safetensors"), e);
  }
  save_model(path, *net, info);
  const Bytes good = read_file(path);
  write_file_atomic(path, ByteView(good).first(good.size() - 1));
  CHECK(has(error(), "model.safetensors"));
  std::filesystem::remove(path);
  CHECK(has(error(), "model.safetensors"));
}

TEST_CASE_FIXTURE(Fixture, "a model whose bits were changed since akin wrote it is refused, with the way out") {
  save_model(path, *net, info);
  const Bytes good = read_file(path);
  Rng rng(5, 0, 0);
  for (int i = 0; i < 40; ++i) {
    Bytes flipped = good;
    flipped[good.size() - 1 - rng.below(4000)] ^= static_cast<std::uint8_t>(1u << rng.below(8));
    write_file_atomic(path, ByteView(flipped));
    const std::string e = error();
    CHECK_MESSAGE(has(e, "sha256"), e);
    CHECK(has(e, "model.safetensors"));
  }
  SafeTensors other = parse_safetensors(good, "memory");
  replace(other.metadata["model"], "\"test_accuracy\":0.1", "\"test_accuracy\":0.9");
  write_safetensors(path, other);
  CHECK(has(error(), "sha256"));
}

TEST_CASE("what a small file claims to be is compared with what it holds before memory is spent") {
  const TempFolder folder;
  const std::filesystem::path path = folder / "claim.safetensors";
  Context ctx(Device::cpu, {.limit = std::size_t{1} << 20});
  SafeTensors file;
  file.add("foreign", Array(DType::f32, {2}));
  for (const char* name : {"resnet50", "mobilenet_v3_large", "alexnet", "googlenet", "squeezenet1_0", "resnet56"}) {
    const bool wide = std::string(name).starts_with("resnet") || std::string(name).starts_with("mobile");
    file.metadata = {{"format", "akin-model-1"},
                     {"model", fmt::format(R"({{"architecture":"{}","width":{},"shortcut":"","channels":3,
"classes":1000000,"image_height":32,"image_width":32,"mean":[0.5],"std":[0.5],"class_names":[],"task":"",
"test_accuracy":-1}})",
                                           name, wide ? 4096 : 0)}};
    write_safetensors(path, file);
    const std::string e = error_of([&] { load_model(ctx, path); });
    CHECK_MESSAGE(has(e, "weights do not fit"), e.substr(0, 300));
    CHECK(ctx.allocator->stats().peak_in_use == 0);
  }
  // A layer graph of a few hundred bytes with 65536 channels and windows of 1024.
  const auto graph = [&](const std::string& kernel, const std::string& stride, const std::string& channels) {
    write_file_atomic(folder / "claim.graph.json",
                      std::string_view(fmt::format(
                          R"({{"input_shape_nhwc":[1,32,32,3],"nodes":[{{"op":"conv","in":["input"],"out":"a","w":"a",
"act":"none","kernel":[{},{}],"stride":{},"out_shape_nhwc":[1,1,1,{}]}},{{"op":"global_avg_pool","in":["a"],"out":"p"}},
{{"op":"fc","in":["p"],"out":"f","w":"f","act":"none"}}]}})",
                          kernel, kernel, stride, channels)));
    SafeTensors weights;
    weights.add("f.weight", Array(DType::f32, {2, 1}));
    weights.metadata = {{"input", "raw 0..255"}};
    write_safetensors(path, weights);
    return error_of([&] { load_model(ctx, path); });
  };
  CHECK_MESSAGE(has(graph("1024", "1", "65536"), "missing a.weight"), graph("1024", "1", "65536"));
  CHECK(ctx.allocator->stats().peak_in_use == 0);
  for (const char* number : {"1e80", "2.5", "-3", "0", "99999999999999999999", "\"1\"", "null", "[1]"}) {
    for (const std::string& e : {graph("3", number, "4"), graph(number, "1", "4"), graph("3", "1", number)}) {
      CHECK_MESSAGE(has(e, "a whole number from"), e);
      CHECK_MESSAGE(has(e, "node a"), e);
    }
  }
}

TEST_CASE_FIXTURE(Fixture, "an unwritable place keeps the old model") {
  save_model(path, *net, info);
  const Bytes before = read_file(path);
  CHECK_NE(error_of([&] { save_model(path / "below", *net, info); }), "");
  CHECK(read_file(path) == before);
}

TEST_CASE("evaluate: argmax, accuracy, normalisation against plain loops") {
  CHECK_EQ(argmax_rows(Array::from<float>({1, 3, 3, -1, -5, -2}, {2, 3})), std::vector<int>{1, 0});
  CHECK(has(error_of([] { argmax_rows(Array::from<float>({1, NAN}, {1, 2})); }), "image 0"));
  const std::vector<int> a = {1, 2, 3, 1}, b = {1, 2, 1, 0}, c = {1};
  CHECK_EQ(accuracy(a, b), 0.5);
  CHECK_THROWS_AS(accuracy(a, c), Error);
  CHECK_THROWS_AS(accuracy({}, {}), Error);
  const ImageSet set = toy_set(7, 3, 1, 3, 5);
  const Normalization n = measure_normalization(set.images);
  for (std::size_t ch = 0; ch < 3; ++ch) {
    double mean = 0, var = 0;
    const auto x = set.images.as<std::uint8_t>();
    const double count = 7 * 25;
    for (std::size_t i = ch; i < x.size(); i += 3) mean += x[i] / 255.0 / count;
    for (std::size_t i = ch; i < x.size(); i += 3) var += (x[i] / 255.0 - mean) * (x[i] / 255.0 - mean) / count;
    CHECK(std::abs(static_cast<double>(n.mean[ch]) - mean) <= 1e-7);  // rounding to float below 1
    CHECK(std::abs(static_cast<double>(n.std[ch]) - std::sqrt(var)) <= 1e-7);
  }
  CHECK_EQ(measure_normalization(Array(DType::u8, {1, 2, 2, 1})).std[0], 1.0f);
  CHECK_THROWS_AS(measure_normalization(Array(DType::u8, {0, 2, 2, 1})), Error);
}
