// akin predict: which class a model gives each of many pictures, as a table, as folders, or as one sheet to look at.
#include <unistd.h>

#include <iostream>

#include "apps/classify.hpp"
#include "apps/commands.hpp"
#include "apps/run_folder.hpp"
#include "distill/predict/contact_sheet.hpp"
#include "distill/predict/sorting.hpp"
#include "engine/io/file.hpp"
#include "engine/io/image.hpp"
#include "engine/io/json.hpp"
#include "engine/io/path.hpp"
#include "engine/io/picture_kind.hpp"
#include "engine/io/text.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  ClassifierFlags classifier;
  std::vector<std::string> pictures;
  std::string out, copy, move, undo, sheet;
  std::size_t top = 1;
  double least = 0;
  int columns = 8;
  bool csv = false, jsonl = false, force = false;
};

TableForm form_of(const Options& o) {
  if (o.csv) return TableForm::csv;
  if (o.jsonl) return TableForm::jsonl;
  if (o.out.empty()) return TableForm::text;
  const std::string ending = lower_ending(o.out);
  return ending == ".jsonl" || ending == ".ndjson" ? TableForm::jsonl
         : ending == ".txt"                        ? TableForm::text
                                                   : TableForm::csv;
}

void undo(const Options& o) {
  const SortReport r = undo_moves(o.undo);
  if (o.common.json)
    print(json_text({{"moved_back", r.sorted}, {"there", r.there}, {"failed", r.faults}}));
  else
    print(fmt::format("{} moved back, {} were in their old place\n", r.sorted, r.there));
  tell_faults(r.faults);
  AKIN_CHECK(r.faults.empty(), "{}: {} line{} could not be undone (above, a line each)", o.undo, r.faults.size(),
             r.faults.size() == 1 ? "" : "s");
}

/// Where the lines go: stdout, or a file that appears when all is done.
class Lines {
 public:
  explicit Lines(const Options& o) : silent_(o.common.json && o.out.empty()) {
    if (o.out.empty()) return;
    make_parent(o.out);
    file_ = std::make_unique<AtomicFile>(o.out);
  }
  void write(const std::string& text) {
    if (file_ != nullptr)
      file_->write(text);
    else if (!silent_)
      print_data(text);
  }
  void done() {
    if (file_ != nullptr) file_->commit();
  }

 private:
  bool silent_;
  std::unique_ptr<AtomicFile> file_;
};

void check(const Options& o) {
  if (o.classifier.model.empty() || o.pictures.empty())
    fail_usage("predict: give a model file and pictures, folders or lists of files: akin predict MODEL PICTURES");
  if (o.least > 0 && o.copy.empty() && o.move.empty())
    fail_usage("--least: says which pictures --copy and --move take; the table has all");
  AKIN_CHECK(o.sheet.empty() || lower_ending(o.sheet) == ".png", "--contact-sheet {}: a sheet is a .png", o.sheet);
}

void check_outputs(const Options& o, const PictureList& list) {
  std::vector<std::filesystem::path> inputs = list.files;
  inputs.emplace_back(o.classifier.model);
  for (const auto* names : {&o.classifier.sources, &o.pictures})
    inputs.insert(inputs.end(), names->begin(), names->end());
  for (const std::string& file : {o.out, o.sheet})
    if (!file.empty()) check_output_file(file, o.force, inputs);
  if (!o.out.empty() && !o.sheet.empty() && whole_path(o.out) == whole_path(o.sheet))
    fail_usage("--out and --contact-sheet: {} cannot be both; give two names", o.out);
}

const std::string& sorted_into(const Options& o) { return o.copy.empty() ? o.move : o.copy; }

std::string way_back(const Sorter& sorter) {
  return sorter.list().empty() ? "" : fmt::format("; akin predict --undo {} moves them back", sorter.list().string());
}

std::string told(const Options& o, const SortReport& r, const Sorter& sorter, std::int64_t unsure) {
  std::string text = fmt::format("{}: {} {}", sorted_into(o), r.sorted, o.copy.empty() ? "moved" : "copied");
  if (r.renamed > 0) text += fmt::format(", {} of them under another name, for theirs was taken", r.renamed);
  if (r.there > 0) text += fmt::format(", {} there already", r.there);
  if (unsure > 0) text += fmt::format(", {} left where they are, less likely than {:g}", unsure, o.least);
  if (r.links > 0)
    text += fmt::format(
        ", {} left where they are, links that lead to a file as seen from their own folder and would lead nowhere",
        r.links);
  return text + way_back(sorter);
}

class Sorting {
 public:
  explicit Sorting(const Options& o) : o_(o) {}
  /// Copies or moves, until it is asked to stop or the list of what is moved cannot be written.
  void run(Sorter& sorter, const std::vector<std::pair<std::filesystem::path, int>>& pictures) {
    catch_interrupts();  // a picture is moved whole, and what was moved is told
    const Events events = make_events(o_.common);
    for (const auto& [file, number] : pictures) {
      if (events.stop())
        why_ = "stopped on request";
      else if (!sorter.put(file, number))
        why_ = "stopped, for the list of moved pictures cannot be written (above)";
      if (!why_.empty()) break;
    }
    all_ = std::ssize(pictures);
  }
  bool stopped() const { return !why_.empty(); }
  void end(const Sorter& sorter, const Faults& faults) const {
    tell_faults(faults);
    fail("{}: {}; {} of {} pictures {}{}", sorted_into(o_), why_, sorter.report().sorted, all_,
         o_.copy.empty() ? "moved" : "copied", way_back(sorter));
  }

 private:
  const Options& o_;
  std::string why_;
  std::int64_t all_ = 0;
};

void run(const Options& o) {
  if (!o.undo.empty()) return undo(o);
  check(o);
  PictureList list = list_pictures(o.pictures, std::cin);
  check_outputs(o, list);
  Context ctx = start(o.common);
  const Classifier classifier = open_classifier(ctx, o.classifier);
  const std::vector<std::string>& classes = classifier.classes();
  std::unique_ptr<Sorter> sorter;
  if (!o.copy.empty()) sorter = std::make_unique<Sorter>(Sorter::Way::copy, o.copy, classes);
  if (!o.move.empty()) sorter = std::make_unique<Sorter>(Sorter::Way::move, o.move, classes);
  const PredictionTable table(form_of(o), classes, list.files, o.top, o.out.empty() ? stdout_columns() : 0);
  Lines lines(o);
  if (!list.files.empty()) lines.write(table.head());
  Json answers = Json::array();
  std::vector<SheetPicture> pictures;  // their names alone
  std::vector<std::pair<std::filesystem::path, int>> to_sort;
  std::int64_t unsure = 0;
  const bool on_terminal = o.out.empty() && !o.common.json && ::isatty(STDOUT_FILENO) == 1;
  PredictReport report = look_at(ctx, o.common, classifier, list, o.top, !on_terminal, [&](const PictureAnswer& p) {
    lines.write(table.line(p));
    if (o.common.json) answers.push_back(parse_json(json_of(p, classes), "answer"));
    if (!o.sheet.empty()) pictures.push_back({p.file, p.best().class_number, p.best().probability});
    if (sorter == nullptr) return;
    if (p.best().probability >= o.least)
      to_sort.emplace_back(p.file, p.best().class_number);
    else
      ++unsure;
  });
  lines.done();
  if (!o.sheet.empty() && !pictures.empty()) {  // before they move
    make_parent(o.sheet);
    write_png(o.sheet, contact_sheet(std::move(pictures), classes, o.columns));
    say(o.common, o.sheet + ": written");
  }
  Json j = {{"model", o.classifier.model}, {"pictures", report.pictures}, {"predictions", answers}};
  const std::string line = summary(report, classes);
  if (!o.out.empty() && !o.common.json)
    print(fmt::format("{}: {}\n", o.out, line));
  else
    say(o.common, line);
  Sorting sorting(o);
  if (sorter != nullptr) {
    sorting.run(*sorter, to_sort);
    const SortReport& r = sorter->report();
    if (!sorting.stopped()) say(o.common, told(o, r, *sorter, unsure));
    report.faults.insert(report.faults.end(), r.faults.begin(), r.faults.end());
    j["sorted"] = {
        {"folder", sorted_into(o)}, {"pictures", r.sorted}, {"renamed", r.renamed},           {"there", r.there},
        {"unsure", unsure},         {"links", r.links},     {"undo", sorter->list().string()}};
  }
  if (o.common.json) {
    j["failed"] = report.faults;
    print(json_text(j));
  }
  if (sorting.stopped()) sorting.end(*sorter, report.faults);
  end_with_faults(report.faults, report.pictures);
}

}  // namespace

void add_predict(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("predict", "Say which class each of many pictures is of; sort them by it");
  const auto o = std::make_shared<Options>();
  add_classifier(*app, o->classifier);
  app->add_option("pictures", o->pictures,
                  "Pictures, folders (all below them), lists (.txt, a file a line), - for a list on standard input")
      ->default_str("")
      ->type_name("FILE|DIR|LIST");
  app->add_option("--top", o->top, "So many classes of each picture, the likeliest first")
      ->transform(whole_in(1, 1000))
      ->group("Answer");
  CLI::Option* csv = app->add_flag("--csv", o->csv, "Comma-separated: file,class,probability")->group("Answer");
  app->add_flag("--jsonl", o->jsonl, "A JSON object a line")->excludes(csv)->group("Answer");
  app->add_option("--out", o->out, "Write the table to a file; .jsonl and .txt say how, else it is CSV")
      ->type_name("FILE")
      ->group("Answer");
  app->add_option("--contact-sheet", o->sheet, "Also write the pictures, small and by class, as one .png to look at")
      ->type_name("FILE")
      ->group("Answer");
  app->add_option("--columns", o->columns, "Pictures in a row of it")->transform(whole_in(1, 100))->group("Answer");
  app->add_flag("--force", o->force, "Replace files that are there")->configurable(false)->group("Answer");
  const char* sorting = "Sorting into a folder for each class; no file is replaced";
  CLI::Option* copy =
      app->add_option("--copy", o->copy, "Copy each picture to DIR/<class>/")->type_name("DIR")->group(sorting);
  app->add_option("--move", o->move, "Move it there; DIR/moved.csv says from where")
      ->excludes(copy)
      ->type_name("DIR")
      ->group(sorting);
  app->add_option("--least", o->least, "Only pictures whose class has this probability, 0 to 1")
      ->check(number_in(0, 1))
      ->group(sorting);
  app->add_option("--undo", o->undo, "Instead of all else: move the pictures of such a list back")
      ->type_name("FILE")
      ->group(sorting);
  add_common(*app, o->common);
  app->footer(
      "A picture becomes the network's input as the model file says; size and classes are its own. A picture that\n"
      "cannot be read keeps no other from its answer: all of them are told at the end, and the exit code is 1.\n\n"
      "Example:\n  akin predict runs/birds/student.safetensors holiday --out birds.csv --contact-sheet birds.png");
  app->callback([o] { run(*o); });
}

}  // namespace akin
