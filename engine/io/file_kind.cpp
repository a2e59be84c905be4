#include "engine/io/file_kind.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <string_view>

#include "engine/io/text.hpp"

namespace akin {
namespace {

using namespace std::string_view_literals;

// {} stands for the path of the file.
constexpr std::string_view kTorch =
    "in Python: import torch, safetensors.torch as st; d = torch.load(\"{}\", map_location=\"cpu\"); "
    "d = d.get(\"state_dict\", d); st.save_file({{k: v.clone().contiguous() for k, v in d.items()}}, "
    "\"weights.safetensors\")";
constexpr std::string_view kOldTorch =
    "this line makes one of today's kind, which akin reads: python3 -c 'import torch; torch.save(torch.load(\"{}\", "
    "map_location=\"cpu\"), \"weights.pth\")'";
constexpr std::string_view kTorchTable =
    "in Python: import numpy, torch; numpy.save(\"features.npy\", torch.load(\"{}\", map_location=\"cpu\").numpy())";
constexpr std::string_view kKeras =
    "load it with the program that made it and save its arrays under torchvision's names with "
    "safetensors.numpy.save_file";
constexpr std::string_view kUnpack = "unpack it first";
constexpr std::string_view kFetch = "it is not the file itself: fetch that";

struct Magic {
  std::size_t at;
  std::string_view bytes;
  std::string_view what;
  std::string_view remedy;
};
constexpr Magic kMagics[] = {
    {0, "\x1f\x8b\x08"sv, "packed with gzip", kUnpack},
    {0, "BZh"sv, "packed with bzip2", kUnpack},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "packed with xz", kUnpack},
    {0, "\x28\xb5\x2f\xfd"sv, "packed with zstd", kUnpack},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive", kUnpack},
    {0, "Rar!"sv, "a rar archive", kUnpack},
    {257, "ustar"sv, "a tar archive", kUnpack},
    {0, "GGUF"sv, "a GGUF file (llama.cpp)",
     "akin reads networks of images as .safetensors; fetch the model in that form"},
    {4, "TFL3"sv, "a TensorFlow Lite model",
     "akin takes its weights as .safetensors with a .graph.json beside it (docs/data.md)"},
    {0, "PAR1"sv, "a Parquet table", "in Python: pandas.read_parquet(\"{}\").to_csv(\"table.csv\", index=False)"},
    {0, "ARROW1"sv, "an Arrow (Feather) table",
     "in Python: pandas.read_feather(\"{}\").to_csv(\"table.csv\", index=False)"},
    {0, "FEA1"sv, "a Feather table", "in Python: pandas.read_feather(\"{}\").to_csv(\"table.csv\", index=False)"},
    {0, "MATLAB 5.0 MAT-file"sv, "a MATLAB file",
     "in Python: numpy.save(\"features.npy\", scipy.io.loadmat(\"{}\")[\"NAME\"])"},
    {0, "MATLAB 7.3 MAT-file"sv, "a MATLAB file (HDF5)",
     "in Python: numpy.save(\"features.npy\", h5py.File(\"{}\")[\"NAME\"][()].T)"},
    {0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, "an Excel file of the old kind (.xls)", "save it as CSV"},
    {0, "SQLite format 3"sv, "an SQLite data base", "write the table as CSV"},
    {0, "\x89PNG"sv, "a picture (PNG)", ""},
    {0, "\xff\xd8\xff"sv, "a picture (JPEG)", ""},
    {0, "%PDF"sv, "a PDF document", ""},
    {0, "RDX"sv, "an R data file", "in R: write.csv(x, \"table.csv\", row.names = FALSE)"},
    {0, "\x93NUMPY"sv, "a NumPy array (.npy)",
     "give it a name that ends in .npy where a table is expected; weights are several arrays with names, in "
     ".safetensors"},
};

std::string with_path(std::string_view remedy, const std::string& path) {
  std::string out(remedy);
  for (std::size_t at = 0; (at = out.find("{}", at)) != std::string::npos; at += path.size()) out.replace(at, 2, path);
  for (std::size_t at = 0; (at = out.find("{{", at)) != std::string::npos; ++at) out.replace(at, 2, "{");
  for (std::size_t at = 0; (at = out.find("}}", at)) != std::string::npos; ++at) out.replace(at, 2, "}");
  return out;
}

std::string_view torch_advice(Wanted wanted) { return wanted == Wanted::weights ? kTorch : kTorchTable; }

/// A zip archive, by the names in it.
std::string zip_kind(std::string_view text, const std::string& path, Wanted wanted) {
  const auto holds = [&](std::string_view name) { return text.find(name) != std::string_view::npos; };
  if (holds("data.pkl"))
    return "a PyTorch file (zip with a pickle); " +
           (holds("constants.pkl")
                ? "a TorchScript program: torch.jit.load(\"" + path + "\").state_dict() has its weights"
                : with_path(torch_advice(wanted), path));
  if (holds("model.weights.h5")) return fmt::format("a Keras model; {}", kKeras);
  if (holds("xl/workbook") || holds("[Content_Types].xml")) return "an Excel file; save it as CSV";
  if (holds("opendocument.spreadsheet")) return "an OpenDocument spreadsheet; save it as CSV";
  if (holds(".npy"))
    return with_path(
        "several NumPy arrays (.npz); give each as a file of its own: in Python: numpy.save(\"features.npy\", "
        "numpy.load(\"{}\")[\"NAME\"])",
        path);
  return fmt::format("a zip archive; {}", kUnpack);
}

std::string_view first_line(std::string_view text) {
  return text.substr(0, std::min(text.find_first_of("\r\n"), std::size_t{80}));
}

bool has_no_case(std::string_view text, std::string_view word) {
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  return std::search(text.begin(), text.end(), word.begin(), word.end(), same) != text.end();
}

/// Of text, which no weights are.
std::string text_kind(std::string_view text) {
  const std::string_view head = text.substr(0, 4096);
  if (head.starts_with("version https://git-lfs")) return fmt::format("a git-lfs pointer; {} (git lfs pull)", kFetch);
  if (head.find("/annex/objects/") != std::string_view::npos)
    return fmt::format("a git-annex pointer; {} (git annex get)", kFetch);
  if (has_no_case(head, "<!doctype html") || has_no_case(head, "<html"))
    return "a web page, not the file behind it; fetch it from the page's download address";
  const std::size_t begin = head.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return "";
  if (head[begin] == '{' && text.find("\"weight_map\"") != std::string_view::npos)
    return "the index of a model in several parts (shards), without weights; load the parts it names, and save all as "
           "one: in Python: safetensors.torch.save_file";
  if (head.find("model_checkpoint_path") != std::string_view::npos)
    return fmt::format("the list of a TensorFlow checkpoint; {}", kKeras);
  const char* kind = head[begin] == '{' || head[begin] == '[' ? "JSON" : "text";
  return fmt::format("{} (it begins \"{}\")", kind, first_line(head.substr(begin)));
}

/// The first fields of an ONNX model: ir_version, then the producer, a domain, a graph or operator sets.
bool is_onnx(ByteView file, std::string_view ending) {
  if (ending == ".onnx") return true;
  return file.size() > 16 && file[0] == 0x08 && file[1] >= 3 && file[1] <= 20 &&
         (file[2] == 0x12 || file[2] == 0x3a || file[2] == 0x42) && file[3] < 64;
}

}  // namespace

std::string foreign_kind(ByteView file, const std::string& path, Wanted wanted) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  const bool safetensors = text.size() > 8 && text.substr(4, 5) == "\0\0\0\0{"sv;  // damaged, not another kind
  if (safetensors || (!text.empty() && text.size() <= 8)) return "";
  if (text.empty()) return "an empty file (0 bytes); fetch or write it again";
  if (text.starts_with("PK\x03\x04"sv) || text.starts_with("PK\x05\x06"sv)) return zip_kind(text, path, wanted);
  if (text.starts_with("\x89HDF"sv) || (text.size() > 516 && text.substr(512, 4) == "\x89HDF"sv))
    return wanted == Wanted::weights
               ? fmt::format("an HDF5 file (Keras?); {}", kKeras)
               : with_path("an HDF5 file; in Python: numpy.save(\"features.npy\", h5py.File(\"{}\")[\"NAME\"][()])",
                           path);
  for (const Magic& m : kMagics)
    if (file.size() >= m.at + m.bytes.size() && text.substr(m.at, m.bytes.size()) == m.bytes)
      return std::string(m.what) + (m.remedy.empty() ? "" : "; " + with_path(m.remedy, path));
  // Protocols 2 to 5; PyTorch's files before 1.6 begin with a number of their own.
  if (file.size() > 2 && file[0] == 0x80 && file[1] >= 2 && file[1] <= 5) {
    const bool torch =
        text.substr(0, 64).find("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv) != std::string_view::npos;
    return torch ? "a PyTorch file of the old kind (before 1.6); " +
                       with_path(wanted == Wanted::weights ? kOldTorch : kTorchTable, path)
                 : with_path(
                       wanted == Wanted::weights
                           ? "a Python pickle; load it in Python and save its arrays with safetensors.numpy.save_file"
                           : "a Python pickle; in Python: numpy.save(\"features.npy\", "
                             "numpy.asarray(pickle.load(open(\"{}\", \"rb\"))))",
                       path);
  }
  const std::size_t slash = path.find_last_of('/'), dot = path.find_last_of('.');
  const std::string ending =
      dot == std::string::npos || (slash != std::string::npos && dot < slash) ? "" : path.substr(dot);
  if (is_onnx(file, ending))
    return "an ONNX model; akin reads weights as .safetensors: convert it, or export that again";
  if (ending == ".pb") return "a TensorFlow graph; " + std::string(kKeras);
  if (ending == ".msgpack")
    return "weights of Flax; in Python: flax.serialization.msgpack_restore, then safetensors.flax.save_file";
  if (ending == ".index" || path.find(".data-0") != std::string::npos)
    return "a part of a TensorFlow checkpoint; " + std::string(kKeras);
  if (std::all_of(file.begin(), file.begin() + std::ptrdiff_t(std::min<std::size_t>(file.size(), 4096)),
                  [](std::uint8_t b) { return b == 0; }))
    return "a file of zero bytes (a download that did not end?); fetch it again";
  const std::string_view head = text.substr(0, std::min<std::size_t>(text.size(), 1024));
  const bool plain = std::none_of(head.begin(), head.end(), [](char c) {
    return static_cast<unsigned char>(c) < 32 && c != '\t' && c != '\n' && c != '\r';
  });
  return plain && valid_utf8(head) + 4 > head.size() ? text_kind(text) : "";
}

std::string foreign_kind_of(const std::filesystem::path& path, Wanted wanted) {
  std::ifstream in(path, std::ios::binary);
  Bytes head(std::size_t{1} << 16);
  in.read(reinterpret_cast<char*>(head.data()), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<std::size_t>(in.gcount()));
  return is_folder(path) ? "a folder" : foreign_kind(head, path.string(), wanted);
}

}  // namespace akin
