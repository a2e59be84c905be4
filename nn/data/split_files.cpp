#include "nn/data/split_files.hpp"

#include <algorithm>

#include "engine/io/nearest_name.hpp"
#include "nn/data/class_names.hpp"

namespace akin {
namespace {

void list_train(const SetLayout& layout, Listing& listing, SetFiles& set) {
  const bool flat = layout.kind == SetLayout::Kind::flat;
  ImageFolder train =
      list_image_folder(layout.images.at(Split::train).front(), listing, flat ? &layout.classes : nullptr);
  set.classes = std::move(train.classes);
  set.splits[Split::train] = {std::move(train.files), std::move(train.labels)};
}

void list_test(const SetLayout& layout, Listing& listing, SetFiles& set) {
  ImageFolder test = list_image_folder(layout.images.at(Split::test).front(), listing);
  std::vector<int> number;
  for (const std::string& name : test.classes) {
    const auto at = std::find(set.classes.begin(), set.classes.end(), name);
    number.push_back(at == set.classes.end() ? -1 : static_cast<int>(at - set.classes.begin()));
    if (number.back() < 0) set.unknown.push_back(name);
  }
  for (int& label : test.labels) label = number[static_cast<std::size_t>(label)];
  set.splits[Split::test] = {std::move(test.files), std::move(test.labels)};
}

}  // namespace

void list_split(const SetLayout& layout, Split split, Listing& listing, SetFiles& set) {
  if (layout.listed) {
    if (split == Split::train) {
      set.classes = layout.listed->classes;
      listing.account.merge(layout.listed->account);
      listing.faults.insert(listing.faults.end(), layout.listed->faults.begin(), layout.listed->faults.end());
    }
    SplitFiles& own = set.splits[split];
    if (const auto at = layout.listed->splits.find(split); at != layout.listed->splits.end()) own = at->second;
  } else if (!layout.images.contains(split)) {
    return;
  } else if (split == Split::train) {
    list_train(layout, listing, set);
  } else if (split == Split::test) {
    list_test(layout, listing, set);
  } else {
    set.splits[split] = {list_images(layout.images.at(split).front(), listing), {}};
  }
}

std::vector<std::string> classes_there(const std::filesystem::path& folder) {
  const SetLayout layout = layout_of(folder);
  if (!of_pictures(layout)) return layout.names.empty() ? std::vector<std::string>() : read_names(layout.names);
  Listing listing{layout.folder};
  SetFiles files;
  list_split(layout, Split::train, listing, files);
  return files.classes;
}

std::vector<std::int64_t> find_classes(const std::vector<std::string>& classes, const std::vector<std::string>& names,
                                       const std::string& source) {
  std::vector<std::int64_t> out;
  for (const std::string& name : names) {
    std::vector<std::int64_t> found;
    for (std::size_t c = 0; c < classes.size(); ++c)
      if (classes[c] == name || classes[c].starts_with(name + " ")) found.push_back(static_cast<std::int64_t>(c));
    AKIN_CHECK(found.size() == 1, "{}: '{}' is {}", source, name,
               found.empty() ? fmt::format("none of its {} classes{}", classes.size(), did_you_mean(name, classes))
                             : fmt::format("the name of {} classes", found.size()));
    out.push_back(found[0]);
  }
  return out;
}

}  // namespace akin
