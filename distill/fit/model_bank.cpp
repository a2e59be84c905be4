#include "distill/fit/model_bank.hpp"

#include <algorithm>
#include <cstdlib>

#include "distill/task/source.hpp"
#include "engine/io/file.hpp"
#include "engine/io/picture_kind.hpp"
#include "engine/io/pth.hpp"
#include "nn/data/image_folder.hpp"

namespace akin {

std::filesystem::path default_bank() {
  const auto named = [](const char* variable) {
    const char* value = std::getenv(variable);
    return std::filesystem::path(value != nullptr ? value : "");
  };
  if (const auto bank = named("AKIN_BANK"); !bank.empty()) return bank;
  if (const auto data = named("XDG_DATA_HOME"); data.is_absolute()) return data / "akin" / "bank";
  if (const auto home = named("HOME"); !home.empty()) return home / ".local" / "share" / "akin" / "bank";
  return {};
}

std::vector<std::filesystem::path> bank_files(const std::filesystem::path& bank) {
  std::vector<std::filesystem::path> files;
  if (!is_folder(bank)) return files;
  for (const auto& entry : std::filesystem::directory_iterator(bank))
    if (lower_ending(entry.path()) == ".safetensors" && !is_hidden(entry.path())) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

BankModel read_bank_model(Context& ctx, const std::filesystem::path& file) {
  const Model model = load_model(ctx, file);
  BankModel out{file, source_name(file), model.info, {count_trainable(model.network->parameters()), 0}};
  if (out.info.height > 0 && out.info.width > 0)
    out.cost = cost_of(ctx, *model.network, out.info.height, out.info.width);
  return out;
}

std::filesystem::path add_to_bank(Context& ctx, const std::filesystem::path& file, const std::filesystem::path& bank,
                                  const std::string& name, bool force) {
  AKIN_CHECK(name.find('/') == std::string::npos && !name.starts_with("."),
             "--as {}: a name in the bank has no / and does not begin with a dot", name);
  const std::filesystem::path place = bank / ((name.empty() ? source_name(file) : name) + ".safetensors");
  AKIN_CHECK(force || !is_there(place),
             "{}: is there already; --as NAME gives the new one another name, --force "
             "replaces it",
             place.string());
  const Bytes bytes = read_file(file);
  const bool whole = describes_itself(parse_weights(bytes, file.string()));
  const Model model = load_model(ctx, file);
  make_folder(bank);
  if (whole)
    write_file_atomic(place, ByteView(bytes));
  else
    save_model(place, *model.network, model.info);
  return place;
}

}  // namespace akin
