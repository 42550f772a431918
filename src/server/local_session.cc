#include "rustbd/server/local_session.h"

#include "rustbd/io/run_task.h"

namespace rustbd::server {

class LocalSession::Sink final : public engine::ResultSink {
 public:
  Sink(LocalAnswer& answer, LocalSession& owner) : answer_(answer), owner_(owner) {}
  void columns(std::span<const engine::ResultColumn> columns) override {
    auto& r = current();
    r.has_rows = true;
    r.columns.assign(columns.begin(), columns.end());
  }
  io::WaitToken rows(const types::Chunk& chunk, std::span<const engine::ResultColumn> columns,
                     types::IoContext& io) override {
    auto& r = current();
    for (std::uint32_t i = 0; i < chunk.count(); ++i) {
      auto& row = r.rows.emplace_back();
      for (std::size_t c = 0; c < columns.size(); ++c) {
        auto& value = row.emplace_back();
        if (!chunk[c].is_valid(chunk.selection[i])) continue;
        types::output_text(chunk[c].datum(chunk.selection[i]), columns[c].type, io, value.emplace());
      }
    }
    return {};
  }
  void complete(std::string_view tag) override {
    current().tag = tag;
    open_ = false;
  }
  void empty_query() override {}
  void suspended() override {}
  void notice(const Notice& notice) override { answer_.notices.push_back(notice); }
  void parameter_changed(std::string_view, std::string_view) override {}
  void copy_in_begin(engine::CopyFormat, std::size_t) override {}
  Task<std::optional<std::string>> copy_in_data() override {
    co_return owner_.copy_source ? owner_.copy_source() : std::nullopt;
  }
  void copy_out_begin(engine::CopyFormat, std::size_t) override {}
  io::WaitToken copy_out_data(std::string_view bytes) override {
    if (owner_.copy_target) owner_.copy_target(bytes);
    return {};
  }
  void copy_out_end() override {}
  /// A statement that failed leaves no half result behind.
  void drop_unfinished() {
    if (open_) answer_.results.pop_back();
  }

 private:
  LocalResult& current() {
    if (!std::exchange(open_, true)) answer_.results.emplace_back();
    return answer_.results.back();
  }
  LocalAnswer& answer_;
  LocalSession& owner_;
  bool open_ = false;
};

LocalSession::LocalSession(engine::Database& database, const engine::SessionOptions& options)
    : database_(database), session_(database.connect(options)) {}
LocalSession::~LocalSession() { io::run_blocking(*database_.environment().executor, session_->close()); }

LocalAnswer LocalSession::run(std::string_view sql) {
  LocalAnswer answer;
  Sink sink{answer, *this};
  auto& executor = *database_.environment().executor;
  answer.failure = io::run_blocking(executor, session_->simple_query(sql, sink));
  if (answer.failure) sink.drop_unfinished();
  executor.block_on(session_->results_durable());
  return answer;
}

}  // namespace rustbd::server
