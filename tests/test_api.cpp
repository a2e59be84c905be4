// libakin.so through its header: models say to the bit what the program says; errors, memory, threads.
#include <doctest/doctest.h>
#include <omp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <thread>

#include "api/akin.h"
#include "distill/task/table.hpp"
#include "engine/io/image.hpp"
#include "engine/io/safetensors.hpp"
#include "tests/predict_case.hpp"
#include "tests/sanitized.hpp"

namespace fs = std::filesystem;
using namespace akin;
using namespace akin::test;

namespace {

using Json = nlohmann::json;

/// A model for one scope.
struct Loaded {
  akin_model* model = nullptr;
  explicit Loaded(const std::string& file, akin_load_options options = {}) {
    REQUIRE_EQ(akin_load(file.c_str(), &options, &model), AKIN_OK);
  }
  ~Loaded() { akin_model_free(model); }
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;
  std::size_t classes() const { return static_cast<std::size_t>(akin_model_classes(model)); }
};

akin_load_options sized(std::int32_t height, std::int32_t width) {
  akin_load_options o{};
  o.height = height;
  o.width = width;
  return o;
}

akin_load_options threaded(std::int32_t threads) {
  akin_load_options o{};
  o.threads = threads;
  return o;
}

std::vector<const char*> pointers(const Arguments& names) {
  std::vector<const char*> out;
  for (const std::string& name : names) out.push_back(name.c_str());
  return out;
}

std::vector<float> predicted(const Loaded& m, const Arguments& files) {
  std::vector<float> p(files.size() * m.classes());
  CHECK_EQ(akin_predict_files(m.model, pointers(files).data(), files.size(), p.data()), AKIN_OK);
  return p;
}

/// What `akin predict` says of the files: a row each, by class number.
std::vector<float> told_by_program(const TempFolder& folder, const std::string& model, const Arguments& files) {
  const Finished f = akin_(folder, with(with({"predict", model}, files), {"--jsonl", "--top", "3", "--quiet"}));
  REQUIRE_EQ(f.code, 0);
  std::vector<float> out;
  std::istringstream lines(f.out);
  for (std::string line; std::getline(lines, line);) {
    std::vector<float> row(3, NAN);
    const Json answer = Json::parse(line);
    for (const Json& guess : answer["top"])
      row[static_cast<std::size_t>(std::find(kNames, kNames + 3, guess["class"].get<std::string>()) - kNames)] =
          guess["probability"].get<float>();
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

bool same_bits(const std::vector<float>& a, std::span<const float> b) {
  return !a.empty() && a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Pictures of one size and colour, in memory and as files that lose nothing.
struct Pixels {
  Array images;
  Arguments files;
  Pixels(const fs::path& folder, int count, int height, int width, int channels)
      : images(DType::u8, {count, height, width, channels}) {
    make_folder(folder);
    for (int i = 0; i < count; ++i) {
      const Array one = picture(height, width, channels, static_cast<unsigned>(i));
      std::memcpy(images.bytes() + static_cast<std::size_t>(i) * one.byte_size(), one.bytes(), one.byte_size());
      files.push_back((folder / fmt::format("{:03}.png", i)).string());
      write_png(files.back(), one);
    }
  }
  akin_pictures given() const {
    const Shape& s = images.shape();
    return {images.as<std::uint8_t>().data(), s[0], s[1], s[2], s[3]};
  }
};

Arguments files_in(const fs::path& folder) {
  Arguments out;
  for (const std::string& name : names_in(folder)) out.push_back((folder / name).string());
  return out;
}

}  // namespace

TEST_CASE_FIXTURE(Trained, "api: a model says what akin predict says, of files and of pixels") {
  const Loaded m(model);
  CHECK_EQ(m.classes(), 3);
  CHECK_EQ(akin_model_height(m.model), 12);
  CHECK_EQ(akin_model_width(m.model), 12);
  CHECK_EQ(akin_model_channels(m.model), 3);
  CHECK_GT(akin_model_features(m.model), 3);
  std::set<std::string> names;
  for (int c = 0; c < 3; ++c) names.insert(akin_model_class_name(m.model, c));
  CHECK(names == std::set<std::string>{"high", "low", "middle"});
  CHECK(akin_model_class_name(m.model, 3) == nullptr);
  CHECK(akin_model_class_name(m.model, -1) == nullptr);
  // kNames are numbered as the folders are sorted.
  const auto by_name = [&](std::vector<float> rows) {
    const std::vector<float> before = rows;
    for (std::size_t i = 0; i < rows.size(); ++i)
      for (std::size_t c = 0; c < 3; ++c)
        if (akin_model_class_name(m.model, static_cast<std::int64_t>(c)) == std::string(kNames[i % 3]))
          rows[i] = before[i - i % 3 + c];
    return rows;
  };
  const Arguments mixed = files_in(folder / "data/unlabeled");
  CHECK(same_bits(told_by_program(folder, model, mixed), by_name(predicted(m, mixed))));
  for (const int channels : {1, 3}) {
    const Pixels some(folder / fmt::format("pixels{}", channels), 20, 31, 23, channels);
    std::vector<float> p(60);
    const akin_pictures given = some.given();
    REQUIRE_EQ(akin_predict(m.model, &given, p.data()), AKIN_OK);
    CHECK(same_bits(told_by_program(folder, model, some.files), by_name(p)));
    CHECK(same_bits(predicted(m, some.files), p));
    CHECK_NE(p[0], p[3]);
  }
  // Another size than the file's.
  const Loaded large(model, sized(20, 16));
  CHECK_EQ(akin_model_height(large.model), 20);
  const Finished f = akin_(folder, {"predict", model, mixed[0], "--size", "20x16", "--jsonl", "--quiet"});
  const std::vector<float> p = predicted(large, {mixed[0]});
  CHECK_EQ(Json::parse(f.out)["probability"].get<float>(), *std::max_element(p.begin(), p.end()));
  CHECK_FALSE(same_bits(p, predicted(m, {mixed[0]})));
  // No pictures are no error.
  const akin_pictures none{nullptr, 0, 5, 5, 3};
  CHECK_EQ(akin_predict(m.model, &none, nullptr), AKIN_OK);
  CHECK_EQ(akin_predict_files(m.model, nullptr, 0, nullptr), AKIN_OK);
  CHECK_EQ(akin_features_files(m.model, nullptr, 0, nullptr, nullptr), AKIN_OK);
}

TEST_CASE_FIXTURE(Trained, "api: features and logits are those of akin features") {
  const Loaded m(model);
  const Pixels grey(folder / "grey", 20, 31, 23, 1), colour(folder / "colour", 20, 12, 12, 3);
  const auto D = static_cast<std::size_t>(akin_model_features(m.model));
  for (const fs::path& of : {folder / "data/unlabeled", folder / "grey", folder / "colour"}) {
    CAPTURE(of.string());
    const fs::path table = folder / (of.filename().string() + ".safetensors");
    const Finished f = akin_(folder, {"features", "--model", model, "--data", of.string(), "--match-channels", "--out",
                                      table.string(), "--quiet"});
    REQUIRE_EQ(f.code, 0);
    const SafeTensors file = read_safetensors(table);
    const Array &features = file.at("features"), &logits = file.at("logits");
    Arguments files;
    for (const std::string& name : rows_of(file, features.shape()[0]).names) files.push_back((of / name).string());
    REQUIRE_GE(files.size(), 20);
    std::vector<float> x(files.size() * D), z(files.size() * 3);
    REQUIRE_EQ(akin_features_files(m.model, pointers(files).data(), files.size(), x.data(), z.data()), AKIN_OK);
    CHECK(same_bits(x, features.as<float>()));
    CHECK(same_bits(z, logits.as<float>()));
    for (const Pixels* some : {&grey, &colour}) {
      if (some->files != files) continue;
      std::vector<float> again(x.size()), alone(z.size());
      const akin_pictures given = some->given();
      REQUIRE_EQ(akin_features(m.model, &given, again.data(), nullptr), AKIN_OK);
      REQUIRE_EQ(akin_features(m.model, &given, nullptr, alone.data()), AKIN_OK);
      CHECK(same_bits(x, again));
      CHECK(same_bits(z, alone));
    }
  }
}

TEST_CASE_FIXTURE(Trained, "api: errors are codes and a text of the thread, and leave results as they were") {
  akin_model* other = nullptr;
  const auto says = [](int code, int wanted, const std::string& text) {
    CHECK_EQ(code, wanted);
    CAPTURE(akin_last_error());
    CHECK(has(akin_last_error(), text));
  };
  says(akin_load((folder / "none.safetensors").string().c_str(), nullptr, &other), AKIN_FAILED, "none.safetensors");
  says(akin_load(nullptr, nullptr, &other), AKIN_USAGE, "file: is NULL");
  says(akin_load(model.c_str(), nullptr, nullptr), AKIN_USAGE, "model: is NULL");
  akin_load_options bad{};
  bad.device = "abacus";
  says(akin_load(model.c_str(), &bad, &other), AKIN_USAGE, "abacus");
  bad = sized(5, 0);
  says(akin_load(model.c_str(), &bad, &other), AKIN_USAGE, "give both");
  bad = threaded(-1);
  says(akin_load(model.c_str(), &bad, &other), AKIN_USAGE, "threads -1");
  CHECK(other == nullptr);
  const Loaded m(model);
  std::vector<float> p(9, 7.0f);
  const std::uint8_t pixels[75] = {};
  akin_pictures four{pixels, 1, 4, 4, 4};
  says(akin_predict(m.model, &four, p.data()), AKIN_FAILED, "C 1 (grey) or 3 (RGB)");
  four = {pixels, -1, 5, 5, 3};
  says(akin_predict(m.model, &four, p.data()), AKIN_USAGE, "cannot be");
  four = {pixels, std::int64_t{1} << 40, 1 << 20, 1 << 20, 3};
  says(akin_predict(m.model, &four, p.data()), AKIN_USAGE, "cannot be");
  four = {nullptr, 1, 5, 5, 3};
  says(akin_predict(m.model, &four, p.data()), AKIN_USAGE, "pixels: is NULL");
  says(akin_predict(nullptr, &four, p.data()), AKIN_USAGE, "model: is NULL");
  CHECK_EQ(p[0], 7.0f);
  // A file that cannot be read keeps no other from its answer.
  const Arguments good = files_in(folder / "data/unlabeled");
  const Arguments files{good[0], (folder / "gone.png").string(), good[1]};
  says(akin_predict_files(m.model, pointers(files).data(), 3, p.data()), AKIN_PARTLY, "gone.png");
  CHECK(std::isnan(p[3]));
  CHECK(std::isnan(p[5]));
  CHECK_LT(std::abs(p[0] + p[1] + p[2] - 1), 1e-5f);
  CHECK_LT(std::abs(p[6] + p[7] + p[8] - 1), 1e-5f);
  says(akin_features_files(m.model, pointers(files).data(), 3, nullptr, nullptr), AKIN_FAILED, "gone.png");
  // Another thread's failure is its own.
  std::thread([&] {
    CHECK_EQ(std::string(akin_last_error()), "");
    says(akin_load("elsewhere", nullptr, &other), AKIN_FAILED, "elsewhere");
  }).join();
  CHECK(has(akin_last_error(), "gone.png"));

  // NULL is no handle, and no crash.
  akin_model_free(nullptr);
  akin_text_free(nullptr);
  CHECK_EQ(akin_model_classes(nullptr), 0);
}

TEST_CASE_FIXTURE(Trained, "api: loading, asking and freeing many times leaves memory as it was") {
  const Arguments files = files_in(folder / "data/unlabeled");
  const Pixels some(folder / "pixels", 16, 40, 40, 3);
  const akin_pictures given = some.given();
  const auto resident = [] {
    std::ifstream in("/proc/self/statm");
    std::int64_t all = 0, pages = 0;
    in >> all >> pages;
    return pages * ::sysconf(_SC_PAGESIZE);
  };
  const auto round = [&] {
    const Loaded m(model);
    std::vector<float> p(files.size() * 3), x(16 * static_cast<std::size_t>(akin_model_features(m.model)));
    CHECK_EQ(akin_predict_files(m.model, pointers(files).data(), files.size(), p.data()), AKIN_OK);
    CHECK_EQ(akin_features(m.model, &given, x.data(), nullptr), AKIN_OK);
    akin_model* none = nullptr;
    CHECK_EQ(akin_load("gone", nullptr, &none), AKIN_FAILED);
  };
  const int rounds = kSanitized ? 1 : 50;  // the leak checker of that build looks at the end
  const auto growth = [&] {
    const std::int64_t before = resident();
    for (int i = 0; i < rounds; ++i) round();
    return resident() - before;
  };
  growth();
  // The model alone is this large; kept once a round, memory would grow by 50 of them each time. A heap that is laid
  // out anew grows once.
  const auto size = static_cast<std::int64_t>(fs::file_size(model));
  const std::array growths{growth(), growth(), growth(), growth()};
  CAPTURE(growths[0]);
  CAPTURE(size);
  if (!kSanitized) CHECK_LT(*std::ranges::min_element(growths), 20 * size);
}

TEST_CASE_FIXTURE(Trained, "api: threads share a model or have one each, and a forked process goes on") {
  const Arguments files = files_in(folder / "data/unlabeled");
  const Loaded shared(model, threaded(2));
  const std::vector<float> wanted = predicted(shared, files);
  std::vector<int> wrong(8, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      omp_set_num_threads(3);
      for (int i = 0; i < (kSanitized ? 2 : 10); ++i) {
        akin_model* own = nullptr;
        const akin_load_options two = threaded(2);
        if (t % 2 == 0 && akin_load(model.c_str(), &two, &own) != AKIN_OK) ++wrong[t];
        std::vector<float> p(wanted.size());
        akin_model* const used = own != nullptr ? own : shared.model;
        if (akin_predict_files(used, pointers(files).data(), files.size(), p.data()) != AKIN_OK) ++wrong[t];
        if (!same_bits(p, wanted)) ++wrong[t];
        akin_model_free(own);
        if (omp_get_max_threads() != 3) ++wrong[t];  // the caller's, which other libraries go by
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(wrong == std::vector<int>(8, 0));
  if (kSanitized) return;  // its own threads are gone in the child
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    std::vector<float> p(wanted.size());
    const int code = akin_predict_files(shared.model, pointers(files).data(), files.size(), p.data());
    ::_exit(code == AKIN_OK && same_bits(p, wanted) ? 0 : 1);
  }
  int status = -1;
  REQUIRE_EQ(::waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

TEST_CASE("api: the library shows the functions of its header and nothing else") {
  const std::string header = read_text(fs::path(AKIN_SOURCE_DIR) / "api/akin.h");
  std::set<std::string> declared, shown;
  const std::regex function(R"(AKIN_API [^;()]*\b(akin_[a-z_]+)\()");
  for (std::sregex_iterator m(header.begin(), header.end(), function), end; m != end; ++m) declared.insert((*m)[1]);
  REQUIRE_GE(declared.size(), 25);
  const std::string command = "nm -D --defined-only '" AKIN_LIBRARY "'";
  FILE* nm = ::popen(command.c_str(), "r");
  REQUIRE(nm != nullptr);
  char line[1024];
  while (std::fgets(line, sizeof line, nm) != nullptr) {
    std::istringstream words(line);
    std::string address, kind, name;
    words >> address >> kind >> name;
    if (kind != "A") shown.insert(name.substr(0, name.find('@')));  // A: the version itself
  }
  CHECK_EQ(::pclose(nm), 0);
  if (!kSanitized) CHECK(shown == declared);
  CHECK_EQ(akin_abi_version(), AKIN_ABI_VERSION);
  CHECK(fs::exists(fmt::format("{}/lib/libakin.so.{}", AKIN_BINARY_DIR, AKIN_ABI_VERSION)));
  CHECK(has(akin_version_line(), akin_version()));
}

TEST_CASE_FIXTURE(Trained, "api: a program in C says the same") {
  const auto run = [&](const std::string& program, const Arguments& arguments) {
    std::string command = "'" AKIN_BINARY_DIR "/" + program + "'";
    for (const std::string& a : arguments) command += " '" + a + "'";
    command += fmt::format(" > '{0}/out' 2> '{0}/err'", folder.path().string());
    const int status = std::system(command.c_str());
    return Finished{WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(folder / "out"), read_text(folder / "err")};
  };
  const Loaded m(model);
  const Arguments files = files_in(folder / "data/unlabeled");
  const Finished said = run("bin/api_client", with({"predict", model}, files));
  CHECK_EQ(said.code, AKIN_OK);
  CHECK_EQ(said.err, "");
  std::vector<float> p;
  std::istringstream numbers(said.out);
  for (float v = 0; numbers >> v;) p.push_back(v);
  CHECK(same_bits(predicted(m, files), p));
  const Finished ranked = run("bin/api_client", {"rank"});
  CHECK_EQ(ranked.code, AKIN_OK);
  CHECK(ranked.out.starts_with("good "));
  CHECK_EQ(std::count(ranked.out.begin(), ranked.out.end(), '\n'), 2);
  const Finished gone = run("bin/api_client", {"predict", (folder / "gone").string(), files[0]});
  CHECK_EQ(gone.code, AKIN_FAILED);
  CHECK(has(gone.err, "gone"));
#ifdef AKIN_EXAMPLE_CLASSIFY
  const Finished example = run(AKIN_EXAMPLE_CLASSIFY, with({model, (folder / "no.png").string()}, files));
  CHECK_EQ(example.code, AKIN_PARTLY);
  CHECK(has(example.err, "no.png"));
  CHECK_EQ(std::count(example.out.begin(), example.out.end(), '\n'), std::ssize(files));
  CHECK(has(example.out, files[0] + "\t"));
#endif
}
