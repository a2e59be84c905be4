// What the documentation names in back-ticks is in the code. Of README.md and docs/*.md, code blocks aside:
//   --option                       is written so in the code or a script, or is a setting ("clip_norm" for
//   --clip-norm);
//                                  those with one dash are a compiler's
//   kernels/<stem>.hpp, docs/      a path that begins with a folder of the project is a file or folder there. <...> and
//   *
//                                  stand for anything, and a file's ending may be left out
//   loss.cpp, cuda_*.cu            a file of source lies somewhere under that name
//   results.csv                    a file of data is written so in the code; NAME.csv and <name>.csv are the reader's
//   own Tape::backward, clip0, 8 KiB   of anything else, each word that begins with a letter occurs in the code; one of
//                                  capitals alone (FILE) is the reader's
// A name that looks like one of C++ and is followed by "in [file](...)" or "([file](...)" occurs in that file. Comments
// of C++ do not count as code: a name that lives on in a comment alone is gone. What is not akin's own (a function of
// PyTorch, a tool) gets no back-ticks unless the code mentions it.
#include <doctest/doctest.h>

#include <algorithm>
#include <regex>

#include "tests/project_files.hpp"
#include "tests/temp_folder.hpp"

using namespace akin::test;

namespace {

const std::set<std::string> kSource{"cpp", "hpp", "c", "h", "cu", "cuh", "py", "sh", "cmake", "md"};
const std::set<std::string> kData{"csv", "json", "jsonl", "toml", "safetensors", "npy", "html", "bin", "txt", "tflite"};

std::set<std::string> matches(const std::string& text, const std::regex& what) {
  std::set<std::string> out;
  for (std::sregex_iterator m(text.begin(), text.end(), what), end; m != end; ++m) out.insert(m->str());
  return out;
}

/// The lines without comments of C++, one after the other.
std::string code_of(const File& f) {
  const bool cpp = f.extension == ".cpp" || f.extension == ".hpp" || f.extension == ".cu" || f.extension == ".cuh";
  std::string text;
  for (const std::string& line : f.lines) text += (cpp ? line.substr(0, line.find("//")) : line) + "\n";
  return text;
}

std::string read(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

const std::regex kWord(R"([A-Za-z_]\w*)"), kOption(R"(--[a-z][a-z0-9-]*)");

/// What there is to be named.
struct Code {
  std::string text;
  std::set<std::string> words, options;
  std::vector<std::string> paths;  // of files and folders, from the root

  Code(const fs::path& root, const std::vector<File>& files) {
    for (const File& f : files)
      if (f.extension != ".md" && f.path != "tests/test_docs.cpp" && f.path != "tests/test_conventions.cpp")
        text += code_of(f);
    text += read(root / "CMakePresets.json");
    if (fs::is_directory(root / "configs"))
      for (const auto& e : fs::recursive_directory_iterator(root / "configs"))
        if (e.path().extension() == ".toml") text += read(e.path());
    words = matches(text, kWord);
    options = matches(text, kOption);
    for (const auto& e : fs::directory_iterator(root))
      if (e.is_regular_file()) paths.push_back(e.path().filename().string());
    for (const char* folder : {"configs", ".ci"}) add(root, folder);
    for (const char* folder : kFolders) add(root, folder);
  }

  /// Whether a path, or with `anywhere` the last name of one, matches `pattern`.
  bool has_file(const std::string& pattern, bool anywhere) const {
    std::string expression = anywhere ? "(.*/)?" : "";
    for (std::size_t i = 0; i < pattern.size(); ++i) {
      const std::size_t closed = pattern[i] == '<' ? pattern.find('>', i) : std::string::npos;
      if (closed != std::string::npos || pattern[i] == '*') {
        expression += "[^/]*";
        if (closed != std::string::npos) i = closed;
      } else {
        expression +=
            (std::isalnum(static_cast<unsigned char>(pattern[i])) != 0 ? "" : "\\") + std::string(1, pattern[i]);
      }
    }
    const std::regex wanted(expression + (anywhere ? "" : R"((\.\w+)?)"));
    return std::any_of(paths.begin(), paths.end(), [&](const auto& path) { return std::regex_match(path, wanted); });
  }

 private:
  void add(const fs::path& root, const std::string& folder) {
    if (!fs::is_directory(root / folder)) return;
    paths.push_back(folder);
    for (const auto& e : fs::recursive_directory_iterator(root / folder))
      paths.push_back(fs::relative(e.path(), root).generic_string());
  }
};

/// Why `token`, a part of something in back-ticks without a space, names nothing; empty where it does.
std::string missing(const Code& code, std::string token) {
  while (!token.empty() && std::string_view(",;:()").find(token.back()) != std::string_view::npos) token.pop_back();
  std::smatch m;
  if (std::regex_search(token, m, kOption, std::regex_constants::match_continuous)) {
    std::string setting = m.str().substr(2);
    std::replace(setting.begin(), setting.end(), '-', '_');
    const bool there = code.options.contains(m.str()) || code.text.find('"' + setting + '"') != std::string::npos;
    return there ? "" : "no option " + m.str();
  }
  if (token.starts_with("-D")) token.erase(0, 2);
  if (token.starts_with("-")) return "";
  const bool folder = token.ends_with("/");
  if (folder) token.pop_back();
  const std::string first = token.substr(0, token.find('/')), name = token.substr(token.rfind('/') + 1);
  const bool here =
      (folder || first != token) && std::find(code.paths.begin(), code.paths.end(), first) != code.paths.end();
  if (here) return code.has_file(token, false) ? "" : "no file or folder " + token;
  const std::size_t dot = name.rfind('.');
  const std::string ending = dot == std::string::npos ? "" : name.substr(dot + 1);
  if (dot == 0 && (kSource.contains(ending) || kData.contains(ending))) return "";
  if (kSource.contains(ending)) return code.has_file(name, true) ? "" : "no file called " + name;
  if (kData.contains(ending)) {
    const bool own = std::regex_search(name, std::regex(R"([<{*]|^[A-Z]+\.)"));
    return own || code.text.find(name) != std::string::npos ? "" : "no code that writes or reads " + name;
  }
  for (const std::string& word : matches(std::regex_replace(token, std::regex(R"(\b\d\w*)"), ""), kWord))
    if (!code.words.contains(word) && !std::regex_match(word, std::regex("[A-Z]+"))) return "no " + word;
  return "";
}

/// The text with code blocks blanked out, line for line.
std::vector<std::string> prose(const File& f) {
  std::vector<std::string> out;
  bool block = false;
  for (const std::string& line : f.lines) {
    const bool fence = line.starts_with("```");
    if (fence) block = !block;
    out.push_back(fence || block || line.starts_with("    ") ? "" : line);
  }
  return out;
}

Problems names(const fs::path& root, const std::vector<File>& files) {
  const Code code(root, files);
  const std::regex quoted("`([^`]+)`"), part(R"(\S+)"),
      placed(R"(`([\w:]+)(?:\(\))?`,?\s+(?:in\s+)?\(?\[[^\]]*\]\(([^)#]+)\))"), cpp_like("[A-Z_:]");
  Problems out;
  for (const File& f : files) {
    if (f.extension != ".md" || f.path.starts_with("tests/") || f.path.starts_with("bench/")) continue;
    const std::vector<std::string> lines = prose(f);
    std::string text;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      text += lines[i] + "\n";
      for (std::sregex_iterator m(lines[i].begin(), lines[i].end(), quoted), end; m != end; ++m)
        for (const std::string& token : matches((*m)[1], part))
          if (const std::string why = missing(code, token); !why.empty())
            out.push_back(fmt::format("{}:{}: `{}`: there is {}", f.path, i + 1, (*m)[1].str(), why));
    }
    for (std::sregex_iterator m(text.begin(), text.end(), placed), end; m != end; ++m) {
      const std::string name = (*m)[1];
      const fs::path target = ((root / f.path).parent_path() / (*m)[2].str()).lexically_normal();
      const std::string path = fs::relative(target, root).generic_string();
      const auto file = std::find_if(files.begin(), files.end(), [&](const File& c) { return c.path == path; });
      if (!std::regex_search(name, cpp_like) || file == files.end() || file->extension == ".md") continue;
      const std::set<std::string> there = matches(code_of(*file), kWord);
      for (const std::string& word : matches(name, kWord))
        if (!there.contains(word)) out.push_back(fmt::format("{}: `{}` is not in {}", f.path, name, path));
    }
  }
  return out;
}

}  // namespace

TEST_CASE("docs: what is named in back-ticks is in the code") {
  const fs::path root = AKIN_SOURCE_DIR;
  CHECK_EQ(list(names(root, project(root))), "");
}

TEST_CASE("docs: a name that is not in the code is found, whatever it names") {
  const akin::test::TempFolder folder;
  const fs::path root = folder.path();
  write(root / "kernels/conv2d.cu", "void conv2d_fwd(Stream<Cuda> s);  // was conv_old\n");
  write(root / "nn/zoo/resnet.cpp", "Tensor ResNet::run() { save(\"results.csv\"); }\n");
  write(root / "apps/flags.cpp", "app.add_option(\"--labels-per-class\", n);\nconst char* name = \"clip_norm\";\n");
  write(root / "scripts/test.sh", "case $1 in --preset) ;; esac\n");
  const auto problems = [&](const std::string& text) {
    write(root / "docs/tour.md", text + "\n");
    return list(names(root, project(root)));
  };
  for (const char* right : {"`conv2d_fwd`, `ResNet::run`, `ResNet::run()`, `Stream<Cuda>` and 4 `3x3`",
                            "`--labels-per-class 2 --clip-norm`", "`scripts/test.sh --preset NAME`",
                            "`kernels/conv2d.cu`, `kernels/conv2d`, `kernels/`, `kernels/<stem>.cu`, `nn/*/`",
                            "`resnet.cpp` and `conv*.cu`", "`results.csv`, `NAME.csv`, `<name>.csv`, any `.csv`, `-O3`",
                            "    `in_a_block`\n\n```\n`and_here`\n```",
                            "`ResNet::run` in [resnet](../nn/zoo/resnet.cpp); `run` ([here](../kernels/conv2d.cu))"}) {
    CAPTURE(right);
    CHECK_EQ(problems(right), "");
  }
  for (const auto& [wrong, why] :
       {std::pair{"see `conv2d_bwd`", "docs/tour.md:1: `conv2d_bwd`: there is no conv2d_bwd"},
        {"\n`ResNet::walk()`", "docs/tour.md:2: `ResNet::walk()`: there is no walk"},
        {"`conv_old`", "docs/tour.md:1: `conv_old`: there is no conv_old"},
        {"`train --labels 2`", "there is no option --labels"},
        {"`kernels/conv3d.cu`", "there is no file or folder kernels/conv3d.cu"},
        {"`nn/resnet`", "there is no file or folder nn/resnet"},
        {"`scripts/build.sh now`", "there is no file or folder scripts/build.sh"},
        {"`resnet.hpp`", "there is no file called resnet.hpp"},
        {"`weights.csv`", "there is no code that writes or reads weights.csv"},
        {"`conv2d_fwd`\nin [resnet](../nn/zoo/resnet.cpp)", "docs/tour.md: `conv2d_fwd` is not in nn/zoo/resnet.cpp"},
        {"`ResNet` ([kernel](../kernels/conv2d.cu))", "docs/tour.md: `ResNet` is not in kernels/conv2d.cu"}}) {
    CAPTURE(wrong);
    const std::string found = problems(wrong);
    CAPTURE(found);
    CHECK(found.find(why) != std::string::npos);
  }
}
