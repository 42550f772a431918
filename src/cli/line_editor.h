// Lines from a terminal, with editing, history and completion (libedit), or from a pipe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rustbd::cli {

/// One at a time in a process.
class LineEditor {
 public:
  /// `complete`: words that the given beginning of a word may become.
  explicit LineEditor(
      std::function<std::vector<std::string>(const std::string& line, const std::string& word)> complete);
  ~LineEditor();
  /// nullopt: the end of the input. An interrupted line (Ctrl-C) comes back empty, with interrupted() true.
  std::optional<std::string> read(const std::string& prompt);
  [[nodiscard]] bool interrupted() const { return interrupted_; }
  void add_history(const std::string& entry);
  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
  bool interrupted_ = false;
};

}  // namespace rustbd::cli
