// The rules that keep the house in order, checked over the sources; each rule is shown to reject a violation.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/project_files.hpp"
#include "tests/temp_folder.hpp"

using namespace akin::test;

namespace {

const std::vector<std::string> kLayers{"kernels", "engine", "nn", "distill", "apps", "api"};
/// Rooms within a layer that may look at less than their layer may. Each entry of `may_see` is a folder or a file; what
/// a room is not named for, its own folder apart, it must not include.
struct Wing {
  std::string room;
  std::vector<std::string> may_see;
};
const std::vector<Wing> kWings{
    {"nn/data", {"kernels", "engine"}},
    {"nn/zoo", {"kernels", "engine", "nn/module.hpp", "nn/network.hpp"}},
    {"distill/report", {"kernels", "engine/io", "nn/curve.hpp"}},
    {"distill/task", {"kernels", "engine", "nn", "distill/events.hpp", "distill/report"}},
    {"distill/similarity", {"kernels", "engine", "nn", "distill/events.hpp", "distill/report", "distill/task"}},
    {"distill/student",
     {"kernels", "engine", "nn", "distill/events.hpp", "distill/report", "distill/task", "distill/similarity"}},
    {"distill/grid",
     {"kernels", "engine", "nn", "distill/events.hpp", "distill/report", "distill/task", "distill/similarity",
      "distill/student"}},
    {"distill/predict",
     {"kernels", "engine", "nn", "distill/events.hpp", "distill/report", "distill/task", "distill/similarity",
      "distill/student"}},
};
const std::set<std::string> kCode{".cpp", ".hpp", ".c", ".h", ".cu", ".cuh", ".py", ".sh", ".cmake"};
constexpr std::size_t kMaxLines = 400;

std::string first_folder(const std::string& path) { return path.substr(0, path.find('/')); }

/// Whether `path` is `place` or lies below it.
bool within(const std::string& path, const std::string& place) {
  return path.starts_with(place) && (path.size() == place.size() || path[place.size()] == '/');
}

/// Whether the wing that `file` is in, if any, may include `target`.
bool wing_allows(const std::string& file, const std::string& target) {
  for (const Wing& wing : kWings) {
    if (!within(file, wing.room) || within(target, wing.room)) continue;
    if (std::none_of(wing.may_see.begin(), wing.may_see.end(),
                     [&](const std::string& place) { return within(target, place); }))
      return false;
  }
  return true;
}

/// kernels <- engine <- nn <- distill <- apps <- api, within a layer the wings, and none of them looks at tests or bench.
/// Examples see what is installed, as <akin/...>, and nobody sees them.
Problems include_direction(const std::vector<File>& files) {
  const auto rank = [](const std::string& layer) {
    return std::find(kLayers.begin(), kLayers.end(), layer) - kLayers.begin();
  };
  const auto none = static_cast<std::ptrdiff_t>(kLayers.size());
  const std::regex include(R"re(^\s*#\s*include\s*(?:"([^"]+)"|<akin/([^>]+)>))re");
  Problems out;
  for (const File& f : files) {
    const bool example = first_folder(f.path) == "examples";
    const auto own = rank(example ? "distill" : first_folder(f.path));
    if (!kCode.contains(f.extension)) continue;
    for (std::size_t i = 0; i < f.lines.size(); ++i) {
      std::smatch m;
      if (!std::regex_search(f.lines[i], m, include)) continue;
      const std::string target = m[m[2].matched ? 2 : 1], layer = first_folder(target);
      if (m[2].matched != example)
        out.push_back(
            fmt::format("{}:{}: include {}: examples write <akin/...>, and nobody else does", f.path, i + 1, target));
      else if (target.find("..") != std::string::npos || target.find('/') == std::string::npos)
        out.push_back(fmt::format("{}:{}: include \"{}\": write it from the repository root", f.path, i + 1, target));
      else if (layer == "examples" || (own != none && rank(layer) > own))
        out.push_back(fmt::format("{}:{}: {} must not include {}", f.path, i + 1, first_folder(f.path), target));
      else if (!wing_allows(f.path, target))
        out.push_back(
            fmt::format("{}:{}: {} must not include {}", f.path, i + 1, f.path.substr(0, f.path.rfind('/')), target));
    }
  }
  return out;
}

/// A stem kernels/<stem>.hpp has its specification, its test and its benchmark.
Problems siblings(const std::vector<File>& files) {
  std::set<std::string> paths;
  for (const File& f : files) paths.insert(f.path);
  const std::regex header(R"(kernels/([^/]+)\.hpp)");
  Problems out;
  for (const std::string& path : paths) {
    std::smatch m;
    if (!std::regex_match(path, m, header)) continue;
    const std::string stem = m[1];
    for (const std::string& need :
         {"kernels/" + stem + ".cpp", "tests/test_" + stem + ".cpp", "bench/bench_" + stem + ".cpp"})
      if (!paths.contains(need)) out.push_back(fmt::format("{}: its sibling {} is missing", path, need));
  }
  // What a header declares over devices, or for GPUs alone, has a .cu beside it.
  for (const File& f : files) {
    if (!f.path.starts_with("kernels/") || f.extension != ".hpp" || f.path.starts_with("kernels/common/")) continue;
    const bool declares = std::any_of(f.lines.begin(), f.lines.end(), [](const std::string& line) {
      return line.find("Stream<Dev>&") != std::string::npos || line.find("Stream<Gpu>&") != std::string::npos;
    });
    const std::string need = f.path.substr(0, f.path.size() - 3) + "cu";
    if (declares && !paths.contains(need)) out.push_back(fmt::format("{}: its sibling {} is missing", f.path, need));
  }
  return out;
}

/// Kernels are started by the launch door, and shared memory and PTX come from kernels/common/gpu: nothing else knows
/// how CUDA spells them.
Problems launch_door(const std::vector<File>& files) {
  const std::regex spelled(R"(<<<|__shared__|\basm\b)");
  Problems out;
  for (const File& f : files) {
    const bool kernel = f.path.starts_with("kernels/") && (f.extension == ".cu" || f.extension == ".cuh");
    if (!kernel || f.path.starts_with("kernels/common/gpu/")) continue;
    for (std::size_t i = 0; i < f.lines.size(); ++i)
      if (std::regex_search(f.lines[i].substr(0, f.lines[i].find("//")), spelled))
        out.push_back(fmt::format("{}:{}: goes around kernels/common/gpu: {}", f.path, i + 1, f.lines[i]));
  }
  return out;
}

Problems lengths(const std::vector<File>& files) {
  Problems out;
  for (const File& f : files)
    if (kCode.contains(f.extension) && f.lines.size() > kMaxLines)
      out.push_back(fmt::format("{}: {} lines, at most {}: split it", f.path, f.lines.size(), kMaxLines));
  return out;
}

/// Standard libraries differ in which headers bring <algorithm> by themselves: who uses it says so.
Problems algorithm_header(const std::vector<File>& files) {
  const std::regex use(R"(\bstd::(?:(?:stable_)?sort|nth_element|(?:any|all|none)_of|find(?:_if)?|count(?:_if)?|)"
                       R"(copy(?:_if|_n)?|fill(?:_n)?|transform|reverse|rotate|equal|mismatch|(?:min|max)(?:_element)?|)"
                       R"(clamp|lower_bound|upper_bound|unique|replace|for_each|is_permutation)\()");
  Problems out;
  for (const File& f : files) {
    if (f.extension != ".cpp" && f.extension != ".hpp") continue;
    bool said = false;
    std::size_t used = 0;  // line
    for (std::size_t i = 0; i < f.lines.size(); ++i) {
      said |= f.lines[i] == "#include <algorithm>";
      if (used == 0 && std::regex_search(f.lines[i].substr(0, f.lines[i].find("//")), use)) used = i + 1;
    }
    const std::string header = f.path.substr(0, f.path.rfind('.')) + ".hpp";  // what it brings its .cpp may use
    for (const File& h : files)
      if (h.path == header) said |= std::find(h.lines.begin(), h.lines.end(), "#include <algorithm>") != h.lines.end();
    if (used > 0 && !said) out.push_back(fmt::format("{}:{}: include <algorithm> for it", f.path, used));
  }
  return out;
}

Problems unfinished(const std::vector<File>& files) {
  const std::regex mark(
      "\\b(TO"
      "DO|FIX"
      "ME|X"
      "XX)\\b");  // in pieces, so that this file passes
  Problems out;
  for (const File& f : files)
    for (std::size_t i = 0; i < f.lines.size(); ++i)
      if (std::regex_search(f.lines[i], mark))
        out.push_back(fmt::format("{}:{}: finish it or write an issue: {}", f.path, i + 1, f.lines[i]));
  return out;
}

/// Relative links in Markdown point to something that exists. Code blocks are not looked at.
Problems links(const fs::path& root, const std::vector<File>& files) {
  const std::regex link(R"(\]\(([^)\s]+)(?:\s+"[^"]*")?\))");
  const std::regex code("`[^`]*`");
  Problems out;
  for (const File& f : files) {
    if (f.extension != ".md") continue;
    bool block = false;
    for (std::size_t i = 0; i < f.lines.size(); ++i) {
      if (f.lines[i].starts_with("```")) block = !block;
      if (block) continue;
      const std::string line = std::regex_replace(f.lines[i], code, "");
      for (std::sregex_iterator m(line.begin(), line.end(), link), end; m != end; ++m) {
        std::string target = (*m)[1];
        target.resize(std::min(target.size(), target.find('#')));
        if (target.empty() || target.find("://") != std::string::npos || target.starts_with("mailto:")) continue;
        if (!fs::exists((root / f.path).parent_path() / target))
          out.push_back(fmt::format("{}:{}: the link to {} leads nowhere", f.path, i + 1, target));
      }
    }
  }
  return out;
}

}  // namespace

TEST_CASE("conventions: the project keeps its rules") {
  const fs::path root = AKIN_SOURCE_DIR;
  const std::vector<File> files = project(root);
  REQUIRE(files.size() > 30);
  CHECK_EQ(list(include_direction(files)), "");
  CHECK_EQ(list(siblings(files)), "");
  CHECK_EQ(list(launch_door(files)), "");
  CHECK_EQ(list(lengths(files)), "");
  CHECK_EQ(list(algorithm_header(files)), "");
  CHECK_EQ(list(unfinished(files)), "");
  CHECK_EQ(list(links(root, files)), "");
}

TEST_CASE("conventions: every rule rejects a violation, and a clean tree passes") {
  const akin::test::TempFolder folder;
  const fs::path root = folder.path();
  write(root / "README.md", "See [the tour](docs/tour.md#start), [web](https://example.org), `a[0](x)`.\n");
  write(root / "docs/tour.md", "```\n[no](link)\n```\n[back](../README.md) [section](#here)\n");
  write(root / "kernels/conv.hpp", "#include <cstdint>\n#include \"kernels/common/accum.hpp\"\n");
  write(root / "kernels/conv.cpp", "#include \"kernels/conv.hpp\"\n");
  write(root / "tests/test_conv.cpp", "#include \"apps/cli.hpp\"\n");
  write(root / "bench/bench_conv.cpp", "#include \"nn/zoo/resnet.hpp\"\n");
  write(root / "distill/loss.cpp", "#include \"engine/ops.hpp\"\n#include \"nn/zoo/resnet.hpp\"\n");
  write(root / "scripts/get.sh",
        "mktemp -d akin.XX"
        "XXXX\n");
  const auto check = [&](const Problems& p, const std::string& expected) {
    CAPTURE(list(p));
    CHECK_EQ(p.size(), expected.empty() ? 0 : 1);
    if (!expected.empty() && !p.empty()) CHECK(p[0].find(expected) != std::string::npos);
  };
  const auto all = [&](const std::string& direction, const std::string& sibling, const std::string& length,
                       const std::string& open, const std::string& link) {
    const std::vector<File> files = project(root);
    check(include_direction(files), direction);
    check(siblings(files), sibling);
    check(lengths(files), length);
    check(unfinished(files), open);
    check(links(root, files), link);
  };
  all("", "", "", "", "");

  write(root / "engine/bad.cpp", "\n#include \"nn/zoo/resnet.hpp\"\n");
  all("engine/bad.cpp:2: engine must not include nn/zoo/resnet.hpp", "", "", "", "");
  write(root / "engine/bad.cpp", "#include \"tests/op_case.hpp\"\n");
  all("engine/bad.cpp:1: engine must not include tests/op_case.hpp", "", "", "", "");
  write(root / "engine/bad.cpp", "#include \"../kernels/conv.hpp\"\n");
  all("write it from the repository root", "", "", "", "");
  write(root / "engine/bad.cpp", "#include <akin/kernels/conv.hpp>\n");
  all("engine/bad.cpp:1: include kernels/conv.hpp: examples write <akin/...>", "", "", "", "");
  fs::remove(root / "engine/bad.cpp");
  write(root / "examples/bad.cpp", "#include <fmt/format.h>\n#include <akin/distill/loss.hpp>\n");
  all("", "", "", "", "");
  write(root / "examples/bad.cpp", "#include \"distill/loss.hpp\"\n");
  all("examples/bad.cpp:1: include distill/loss.hpp: examples write <akin/...>", "", "", "", "");
  write(root / "examples/bad.cpp", "#include <akin/apps/flags.hpp>\n");
  all("examples/bad.cpp:1: examples must not include apps/flags.hpp", "", "", "", "");
  fs::remove(root / "examples/bad.cpp");
  write(root / "tests/bad.cpp", "#include \"examples/data.hpp\"\n");
  all("tests/bad.cpp:1: tests must not include examples/data.hpp", "", "", "", "");
  fs::remove(root / "tests/bad.cpp");
  write(root / "nn/data/bad.cpp", "#include \"engine/io/idx.hpp\"\n#include \"nn/data/split.hpp\"\n");
  all("", "", "", "", "");
  write(root / "nn/data/bad.cpp", "#include \"nn/network.hpp\"\n");
  all("nn/data/bad.cpp:1: nn/data must not include nn/network.hpp", "", "", "", "");
  fs::remove(root / "nn/data/bad.cpp");
  for (const auto& [room, target] : {std::pair{"report", "engine/tensor.hpp"},
                                     {"task", "distill/similarity/metrics/metric.hpp"},
                                     {"similarity", "distill/student/method.hpp"},
                                     {"student", "distill/grid/cell.hpp"},
                                     {"grid", "distill/pipeline.hpp"}}) {
    const fs::path bad = root / "distill" / room / "bad.cpp";
    write(bad, fmt::format("#include \"{}\"\n", target));
    all(fmt::format("distill/{0}/bad.cpp:1: distill/{0} must not include {1}", room, target), "", "", "", "");
    fs::remove(bad);
  }

  for (const char* need : {"kernels/conv.cpp", "tests/test_conv.cpp", "bench/bench_conv.cpp"}) {
    fs::rename(root / need, root / "kept");
    all("", fmt::format("sibling {} is missing", need), "", "", "");
    fs::rename(root / "kept", root / need);
  }

  for (const char* device : {"Dev", "Gpu"}) {
    write(root / "kernels/conv.hpp",
          fmt::format("template <class {0}>\nvoid conv(const Stream<{0}>& stream);\n", device));
    all("", "sibling kernels/conv.cu is missing", "", "", "");
  }
  for (const char* wrong : {"k<<<1, 2>>>();\n", "__shared__ int x;\n", "asm(\"nop;\");\n"}) {
    write(root / "kernels/conv.cu", wrong);
    check(launch_door(project(root)), "kernels/conv.cu:1");
  }
  write(root / "kernels/conv.cu", "launch(\"k\", k, {.grid = 1}, stream);  // not k<<<1, 2>>>\n");
  check(launch_door(project(root)), "");

  write(root / "nn/sorts.cpp", "\nvoid f() { std::sort(a, b); }\n");
  check(algorithm_header(project(root)), "nn/sorts.cpp:2: include <algorithm>");
  write(root / "nn/sorts.cpp", "#include <algorithm>\nvoid f() { std::sort(a, b); }  // std::find(\n");
  check(algorithm_header(project(root)), "");
  fs::remove(root / "nn/sorts.cpp");

  std::string text;
  for (std::size_t i = 0; i <= kMaxLines; ++i) text += "int x;\n";
  write(root / "nn/long.cpp", text);
  all("", "", "nn/long.cpp: 401 lines", "", "");
  write(root / "nn/long.cpp",
        "// TO"
        "DO: later\n");
  all("", "", "", "nn/long.cpp:1", "");
  fs::remove(root / "nn/long.cpp");

  write(root / "docs/tour.md", "[gone](nowhere.md)\n");
  all("", "", "", "", "docs/tour.md:1: the link to nowhere.md leads nowhere");
}
