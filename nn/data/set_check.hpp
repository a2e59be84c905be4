// All that is to be said of a data set before it is used, in one go: what would stop akin, and what spoils results.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "nn/data/account.hpp"
#include "nn/data/set_layout.hpp"

namespace akin {

/// Pictures that are there more than once, or nearly.
struct RepeatKind {
  std::string what;      ///< "test pictures that are training pictures as well"
  bool harmful = false;  ///< figures on the test split, or labels, are wrong by it
  std::int64_t pairs = 0;
  std::vector<std::string> examples = {};  ///< "a.jpg = b.jpg", the first few
};

struct CheckedSplit {
  std::int64_t pictures = 0;              ///< that can be read
  std::vector<std::int64_t> counts = {};  ///< by class; empty where the pictures have no labels
};

struct SetCheck {
  std::string layout;  ///< "class folders, without splits"
  std::vector<std::string> classes;
  std::map<Split, CheckedSplit> splits;       ///< with a test split that is held out
  std::vector<std::string> held_out;          ///< names of its pictures, where akin draws it
  std::map<std::string, std::int64_t> sizes;  ///< "height x width" to the number of pictures
  std::int64_t grey = 0, colour = 0;
  Account account;                    ///< what was passed over, and what pictures say of themselves
  Faults faults;                      ///< all files that cannot be read, each with the reason
  std::vector<std::string> problems;  ///< what else stops akin
  std::vector<std::string> advice;    ///< what does not stop it and should be known
  std::vector<RepeatKind> exact, near;

  bool usable() const { return faults.empty() && problems.empty(); }
  bool one_size() const { return sizes.size() <= 1; }
};

/// Looks at every file of the data set, each once. Keeps some 400 bytes of a picture, and of IDX and CIFAR files one
/// split at a time. Errors of the data are in the result. progress(done, all) is called now and then.
SetCheck check_data_set(const std::filesystem::path& folder,
                        const std::function<void(std::int64_t, std::int64_t)>& progress = {});

}  // namespace akin
