// A sink for rows that nobody wants to see.
#pragma once

#include "rustbd/engine/result_sink.h"

namespace rustbd::engine {

/// Swallows rows; notices go on.
class NullSink : public ResultSink {
 public:
  explicit NullSink(ResultSink& outer) : outer_(outer) {}
  void columns(std::span<const ResultColumn>) override {}
  io::WaitToken rows(const types::Chunk&, std::span<const ResultColumn>, types::IoContext&) override {
    return {};
  }
  void complete(std::string_view) override {}
  void empty_query() override {}
  void suspended() override {}
  void notice(const Notice& n) override { outer_.notice(n); }
  void parameter_changed(std::string_view, std::string_view) override {}
  void copy_in_begin(CopyFormat, std::size_t) override {}
  Task<std::optional<std::string>> copy_in_data() override { co_return std::nullopt; }
  void copy_out_begin(CopyFormat, std::size_t) override {}
  io::WaitToken copy_out_data(std::string_view) override { return {}; }
  void copy_out_end() override {}

 protected:
  ResultSink& outer_;
};

}  // namespace rustbd::engine
