// akin bank: the folder of trained networks that `akin fit` takes its teachers and its start from.
#include <algorithm>

#include "apps/commands.hpp"
#include "apps/common.hpp"
#include "distill/fit/model_bank.hpp"
#include "distill/report/html.hpp"
#include "distill/report/table.hpp"
#include "engine/io/file.hpp"
#include "engine/io/json.hpp"
#include "nn/data/account.hpp"

namespace akin {

namespace {

struct Options {
  bool json = false;
  std::vector<std::string> files;
  std::string bank, name;
  bool force = false;
};

std::filesystem::path place_of(const Options& o) {
  const std::filesystem::path place = o.bank.empty() ? default_bank() : std::filesystem::path(o.bank);
  AKIN_CHECK(!place.empty(), "--bank: is needed where neither AKIN_BANK nor HOME is set");
  AKIN_CHECK(is_folder(place) || !is_there(place), "--bank {}: is no folder", place.string());
  return place;
}

void add(const Options& o) {
  if (!o.name.empty() && o.files.size() > 1) fail_usage("--as: names one model, {} files are given", o.files.size());
  Context ctx;
  const std::filesystem::path bank = place_of(o);
  Faults faults;  // told at the end: the others are added
  for (const std::string& file : o.files) try {
      print(fmt::format("{}\n", add_to_bank(ctx, file, bank, o.name, o.force).string()));
    } catch (const Error& e) {
      faults.emplace_back(e.what());
    }
  throw_faults(faults, bank.string());
}

void list(const Options& o) {
  const std::filesystem::path bank = place_of(o);
  Context ctx;
  Json models = Json::array();
  using Align = TextTable::Align;
  TextTable table({{"model", Align::left},
                   {"network", Align::left},
                   {"classes", Align::right},
                   {"size", Align::right},
                   {"parameters", Align::right},
                   {"multiply-adds", Align::right},
                   {"learnt", Align::left}});
  std::vector<std::string> broken;
  for (const std::filesystem::path& file : bank_files(bank)) {
    BankModel m;
    try {
      m = read_bank_model(ctx, file);
    } catch (const Error& e) {
      broken.emplace_back(e.what());
      continue;
    }
    const std::string size = m.info.height > 0 ? fmt::format("{}x{}", m.info.height, m.info.width) : "–";
    const bool costed = m.cost.multiply_adds > 0;
    table.add({m.name, m.info.architecture.name, std::to_string(m.info.architecture.classes), size,
               show_count(static_cast<double>(m.cost.parameters)),
               costed ? show_count(static_cast<double>(m.cost.multiply_adds)) : "–", m.info.task});
    models.push_back({{"name", m.name},
                      {"file", file.string()},
                      {"network", m.info.architecture.name},
                      {"classes", m.info.architecture.classes},
                      {"height", m.info.height},
                      {"width", m.info.width},
                      {"parameters", m.cost.parameters},
                      {"multiply_adds", costed ? Json(m.cost.multiply_adds) : Json(nullptr)},
                      {"task", m.info.task}});
  }
  if (o.json)
    print(json_text({{"bank", bank.string()}, {"models", models}, {"broken", broken}}));
  else if (models.empty() && broken.empty())
    print(fmt::format("{}: holds no model yet; `akin bank add FILE` brings one\n", bank.string()));
  else
    print(fmt::format("{}\n\n{}", bank.string(), table.str(stdout_columns())));
  throw_faults(broken, bank.string());
}

void add_place(CLI::App& app, Options& o) {
  app.add_option("--bank", o.bank, "Folder of the bank; default: $AKIN_BANK, else ~/.local/share/akin/bank")
      ->type_name("DIR");
}

}  // namespace

void add_bank(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("bank", "Trained networks for akin fit: add some, list them");
  app->require_subcommand(1);
  app->footer("Example:\n  akin bank add imagenet.safetensors birds.safetensors");
  const auto o = std::make_shared<Options>();
  CLI::App* adding = app->add_subcommand("add", "Copy model files into the bank");
  adding->add_option("files", o->files, "Models that describe themselves, or lie beside their .graph.json")
      ->required()
      ->type_name("FILE...");
  adding->add_option("--as", o->name, "Its name there; default: as the file is called")->type_name("NAME");
  add_place(*adding, *o);
  adding->add_flag("--force", o->force, "Replace one of that name");
  adding->footer(
      "Weights that do not say what network they are of: `akin import` first.\n\nExample:\n"
      "  akin bank add runs/pets/student.safetensors --as pets");
  adding->callback([o] { add(*o); });
  CLI::App* listing = app->add_subcommand("list", "What the bank holds");
  add_place(*listing, *o);
  listing->add_flag("--json", o->json, "Print one JSON object on stdout");
  listing->footer("Example:\n  akin bank list");
  listing->callback([o] { list(*o); });
}

}  // namespace akin
