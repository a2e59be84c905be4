// What a classifier says of many pictures, a batch after the other, and how that is written down.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "distill/predict/classifier_file.hpp"

namespace akin {

struct Guess {
  int class_number = 0;
  double probability = 0;
};

/// What is said of one picture: the likeliest classes, best first; of equals the lower number.
struct PictureAnswer {
  std::filesystem::path file;
  std::vector<Guess> guesses;
  std::size_t number = 0;  ///< of the picture, among those that were given
  const Guess& best() const { return guesses.front(); }
};

struct PredictOptions {
  std::size_t top = 1;                              ///< guesses a picture, at most as many as classes
  std::function<void(std::int64_t)> progress = {};  ///< called with the number of pictures done
};

struct PredictReport {
  std::int64_t pictures = 0;             ///< answered
  std::int64_t decoded = 0;              ///< readings of files: each one for every form that networks want it in
  std::map<int, std::int64_t> of_class;  ///< how many, by the likeliest class
  Account account;                       ///< what the pictures say of themselves
  Faults faults;                         ///< those that cannot be read, a message each
};

/// How many pictures a classifier is shown at once.
std::int64_t pictures_at_once(const Classifier& classifier);

/// Calls `take` for each picture that can be read, in order. At most some 32 MB of prepared pictures are held at once,
/// however many there are. Error where an input's size is not known.
PredictReport predict_pictures(Context& ctx, const Classifier& classifier,
                               const std::vector<std::filesystem::path>& files, const PredictOptions& options,
                               const std::function<void(const PictureAnswer&)>& take);

enum class TableForm { text, csv, jsonl };

/// Lines of a table of predictions, one a picture. text: for people, file, probability and classes; csv: file, class,
/// probability, then class_2, probability_2 ...; jsonl: an object a line, with "top" where there are several guesses.
/// Names of files stand in csv and text as the system has them (control characters spelled out in text), in JSON as
/// UTF-8. On a terminal of so many `columns` (0: of any) text shortens them, so that a line with one class fits.
class PredictionTable {
 public:
  PredictionTable(TableForm form, const std::vector<std::string>& classes,
                  const std::vector<std::filesystem::path>& files, std::size_t top, std::size_t columns = 0);
  std::string head() const;  ///< may be empty
  std::string line(const PictureAnswer& p) const;

 private:
  TableForm form_;
  const std::vector<std::string>& classes_;
  std::size_t top_, file_width_ = 4, widest_ = static_cast<std::size_t>(-1);
};

/// {"file": ..., "class": ..., "probability": ...} and "top".
std::string json_of(const PictureAnswer& p, const std::vector<std::string>& classes);

/// "12 pictures: wren 7, robin 5", the most frequent classes first.
std::string summary(const PredictReport& report, const std::vector<std::string>& classes);

}  // namespace akin
