// akin label: a model's confident answers as labels of pictures that have none, in a table to mend by hand.
#include <algorithm>

#include "apps/classify.hpp"
#include "apps/commands.hpp"
#include "apps/run_folder.hpp"
#include "distill/task/label_list.hpp"
#include "engine/io/json.hpp"
#include "nn/data/image_folder.hpp"
#include "nn/data/set_layout.hpp"
#include "nn/data/split_files.hpp"

namespace akin {

namespace {

struct Options {
  CommonOptions common;
  ClassifierFlags classifier;
  std::string folder, out;
  double least = 0.9;
  bool force = false;
};

/// The pictures to look at. Of a data set its training pictures, with their labels, and then the unlabelled ones.
struct Pictures {
  PictureList list;
  std::vector<int> given;  ///< label of the first pictures, as a number of the model's classes
};

Pictures pictures_of(const std::string& folder, const Classifier& classifier) {
  Pictures out;
  // Folders of pictures without unlabelled ones beside them are no classes here, but what shall be labelled.
  const bool loose = !is_data_set(folder) || [&] {
    const SetLayout layout = layout_of(folder);
    return of_pictures(layout) && layout.kind != SetLayout::Kind::folders && !layout.has(Split::unlabeled);
  }();
  if (loose) {
    Listing listing{folder};
    out.list.files = list_images(folder, listing);
    out.list.account = std::move(listing.account);
    out.list.faults = std::move(listing.faults);
    return out;
  }
  const SetLayout layout = layout_of(folder);
  AKIN_CHECK(of_pictures(layout), "{}: holds images without files of their own; labels are given to picture files",
             folder);
  AKIN_CHECK(layout.has(Split::unlabeled), "{}: has no folder unlabeled/; give the folder of the pictures to label",
             folder);
  Listing listing{folder};
  const std::vector<std::string>& classes = classifier.classes();
  const auto given = [&](const std::filesystem::path& file, const std::string& name) {
    const auto at = std::find(classes.begin(), classes.end(), name);
    AKIN_CHECK(at != classes.end(),
               "{}: class '{}' is none of the {} that {} tells apart; take a model of this data set, "
               "or give the folder of the unlabelled pictures alone",
               folder, name, classes.size(), classifier.file());
    out.list.files.push_back(file);
    out.given.push_back(static_cast<int>(at - classes.begin()));
  };
  // Without the pictures that are held out as its test split.
  if (layout.kind != SetLayout::Kind::folders || layout.draws_test) {
    const ImageFormat small{.height = 32, .width = 32, .channels = 3};
    const std::vector<ImageSet> sets = load_splits(layout.folder, {Split::train, Split::unlabeled}, small);
    for (std::size_t i = 0; i < sets[0].names.size(); ++i)
      given(layout.folder / sets[0].names[i], sets[0].classes[static_cast<std::size_t>(sets[0].labels[i])]);
    for (const std::string& name : sets[1].names) out.list.files.push_back(layout.folder / name);
    out.list.account = sets[0].account;
    return out;
  }
  SetFiles set;
  for (const Split split : {Split::train, Split::unlabeled}) list_split(layout, split, listing, set);
  const SplitFiles& train = set.splits[Split::train];
  for (std::size_t i = 0; i < train.files.size(); ++i)
    given(train.files[i], set.classes[static_cast<std::size_t>(train.labels[i])]);
  const std::vector<std::filesystem::path>& others = set.splits[Split::unlabeled].files;
  out.list.files.insert(out.list.files.end(), others.begin(), others.end());
  out.list.account = std::move(listing.account);
  out.list.faults = std::move(listing.faults);
  return out;
}

/// The table may be none of what is read, nor the data set's own list.
void check_out(const Options& o) {
  std::vector<std::filesystem::path> inputs{o.classifier.model, o.folder};
  inputs.insert(inputs.end(), o.classifier.sources.begin(), o.classifier.sources.end());
  if (is_data_set(o.folder)) {
    const SetLayout layout = layout_of(o.folder);
    for (const std::string& name : layout.used) inputs.push_back(layout.folder / name);
  }
  check_output_file(o.out, o.force, inputs);
}

void run(const Options& o) {
  check_out(o);
  Context ctx = start(o.common);
  const Classifier classifier = open_classifier(ctx, o.classifier);
  AKIN_CHECK(classifier.names_classes(),
             "{}: does not name its classes, so there are no labels to give; akin import "
             "with --class-names makes a model that does",
             classifier.file());
  const std::vector<std::string>& classes = classifier.classes();
  Pictures pictures = pictures_of(o.folder, classifier);
  check_output_file(o.out, o.force, pictures.list.files);
  std::vector<LabelLine> lines;
  std::int64_t given = 0, kept = 0, doubted = 0;
  const std::vector<std::filesystem::path> files = pictures.list.files;
  std::size_t at = 0;  // unreadable pictures are left out of the answers
  const PredictReport report =
      look_at(ctx, o.common, classifier, pictures.list, classes.size(), true, [&](const PictureAnswer& p) {
        while (files[at] != p.file) ++at;
        Guess guess = p.best();
        const bool labelled = at < pictures.given.size();
        if (labelled) {
          const int label = pictures.given[at];
          doubted += label != guess.class_number;
          guess = *std::find_if(p.guesses.begin(), p.guesses.end(),
                                [&](const Guess& g) { return g.class_number == label; });
        }
        const bool keep = labelled || guess.probability >= o.least;
        given += labelled;
        kept += keep && !labelled;
        lines.push_back(
            {p.file.string(), classes[static_cast<std::size_t>(guess.class_number)], guess.probability, keep});
        ++at;
      });
  make_parent(o.out);
  write_file_atomic(o.out, std::string_view(label_list(lines)));
  const std::int64_t fresh = report.pictures - given;
  if (o.common.json) {
    print(json_text({{"labels", o.out},
                     {"given", given},
                     {"doubted", doubted},
                     {"unlabelled", fresh},
                     {"kept", kept},
                     {"least", o.least},
                     {"failed", report.faults}}));
  } else {
    print(fmt::format("{}: {} of {} unlabelled pictures got a label of probability {:g} or more\n", o.out, kept, fresh,
                      o.least));
    if (given > 0)
      print(fmt::format("and {} labels of the training pictures, of which the model says otherwise in {}\n", given,
                        doubted));
    say(o.common, fmt::format("mend its columns label and keep (yes or no); `akin distill --target DIR --labels {}` "
                              "learns from those that are kept",
                              o.out));
  }
  end_with_faults(report.faults, report.pictures);
}

}  // namespace

void add_label(CLI::App& akin) {
  CLI::App* app = akin.add_subcommand("label", "Write a model's confident answers as labels, to mend by hand");
  const auto o = std::make_shared<Options>();
  add_classifier(*app, o->classifier)->required();
  app->add_option(
         "folder", o->folder,
         "Folder of pictures; or of a data set, of which the unlabelled pictures are labelled and the training "
         "pictures keep their labels")
      ->required()
      ->type_name("DIR");
  app->add_option("--out", o->out, "Table to write: file,label,probability,keep")->required()->type_name("FILE.csv");
  app->add_option("--least", o->least, "Probability, 0 to 1, from which keep says yes")->check(number_in(0, 1));
  app->add_flag("--force", o->force, "Replace a table that is there")->configurable(false);
  add_common(*app, o->common);
  app->footer(
      "What the table says is what --labels of distill and rank takes: a picture is found by the end of its path, and\n"
      "only lines whose keep is yes count. A training picture whose label the model doubts has a low probability.\n\n"
      "Example:\n  akin label runs/birds/student.safetensors birds --out labels.csv\n"
      "  akin distill --target birds --size 32x32 --labels labels.csv --sources bank/*.safetensors --out runs/more");
  app->callback([o] { run(*o); });
}

}  // namespace akin
